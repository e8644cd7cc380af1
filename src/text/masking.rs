//! Personal data is masked before anything else sees the text.
//!
//! Works on normalised text, so full-width digits are plain ones here. What is personal is replaced by one short placeholder,
//! the same that the training data holds. What is not personal stays: dates, times, prices, bus lines, house numbers, the
//! hotline's own short numbers (12345, 110, 95598), companies' 400 numbers, operators' badge numbers.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::aligned::{Aligned, Edit};
use super::cleaning::without_controls;
use super::normalize::normalize_aligned;
use super::numbers;

// The placeholders; those of orders, phones and ID cards are dropped again by the cleaning.
pub(super) const MOBILE: &str = "[手机号]";
pub(super) const PHONE: &str = "[电话]";
pub(super) const ID_CARD: &str = "[证件号]";
pub(super) const ORDER: &str = "[工单号]";
pub(super) const BANK_CARD: &str = "[银行卡]";
/// Stands after the province and the letter, which say no more than a city: 京a[车牌].
const PLATE: &str = "[车牌]";
const EMAIL: &str = "[邮箱]";
const ACCOUNT: &str = "[账号]";

/// The masks with a pattern of their own, in order; the group `x` is what is replaced. Numbers are read by [`numbers`].
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let table = [
        (EMAIL, r"(?P<x>[a-z0-9][a-z0-9._%+\-]{0,63}@[a-z0-9\-]{1,63}(?:\.[a-z0-9\-]{1,63}){1,4})"),
        (
            PLATE,
            r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-z][ ·.\-]{0,2}(?P<x>[a-z0-9]{4,6}[警学挂港澳]?)",
        ),
        (ACCOUNT, r"(?:qq|扣扣)(?:号码|号|群|邮箱)?[是为: ]{0,2}(?P<x>[1-9][0-9]{4,11})"),
        (
            ACCOUNT,
            r"(?:(?:微信|weixin|wechat)(?:号码|号|id)|(?:微信|weixin|wechat)[是为:]|加(?:我|他|她)?微信|vx|wx)[是为: ]{0,2}(?P<x>[a-z][a-z0-9_\-]{5,19})",
        ),
    ];
    table.into_iter().map(|(mask, pattern)| (super::pattern::pattern(pattern), mask)).collect()
});

/// A text with its personal data masked, for what is kept: normalised, nothing left out that can be seen.
pub fn masked(text: &str) -> String {
    mask(seen(text)).text
}

/// Normalised, without what nobody sees: a number stays one if something invisible stands in it.
fn seen(text: &str) -> Aligned {
    normalize_aligned(without_controls(Aligned::original(text)))
}

/// True if what stands in the place of an order's number is a person's: a phone, or a card whose form no order's number has. A card
/// of digits alone is not told from an order: many cities number theirs by region, day and serial number, with dashes or without.
pub fn is_persons_number(text: &str) -> bool {
    let text = text.trim();
    // Each call asks it of its number: the patterns of `MASKS`, none of which an order's number has, would cost more than all else.
    let seen = seen(text).text;
    let [(range, mask)] = &numbers::personal(&seen)[..] else { return false };
    match *mask {
        _ if *range != (0..seen.len()) => false,
        MOBILE => true,
        PHONE => !text.chars().all(char::is_numeric),
        ID_CARD => text.ends_with(['x', 'X', 'ｘ', 'Ｘ']),
        _ => false,
    }
}

/// The same with everything that is not masked as it was written, for what people read again.
pub fn masked_as_written(text: &str) -> String {
    let normal = seen(text);
    let masked = mask(normal.clone());
    if masked == normal {
        return text.to_owned();
    }
    let original: Vec<char> = text.chars().collect();
    let kept: HashSet<(char, u32)> = normal.chars().collect();
    let (mut out, mut next) = (String::with_capacity(text.len()), 0);
    let mut masking = false;
    for (character, source) in masked.chars() {
        let source = source as usize;
        masking = masking && character != CLOSES || !masking && !kept.contains(&(character, source as u32));
        if masking || character == CLOSES && !kept.contains(&(character, source as u32)) {
            out.push(character);
            next = next.max(source + 1);
        } else if source >= next {
            out.extend(&original[next..=source]);
            next = source + 1;
        }
    }
    out.extend(&original[next.min(original.len())..]);
    out
}

/// The last character of every mask.
const CLOSES: char = ']';

/// Masks a normalised text.
pub(super) fn mask(text: Aligned) -> Aligned {
    let mut text = text;
    for (pattern, placeholder) in MASKS.iter() {
        let edits: Vec<Edit<'_>> = pattern
            .captures_iter(&text.text)
            .filter_map(|found| found.name("x"))
            .filter(|x| *placeholder != PLATE || is_plate(&text.text, x.range()))
            .map(|x| (x.range(), *placeholder))
            .collect();
        text = text.edited(&edits);
    }
    let edits = numbers::personal(&text.text);
    text.edited(&edits)
}

/// Five or six letters and digits (four before 警 and the like), most of them digits, and nothing of the kind behind.
fn is_plate(text: &str, range: Range<usize>) -> bool {
    let ends = !text[range.end..].starts_with(|c: char| c.is_ascii_alphanumeric());
    let plate = &text[range];
    let digits = plate.chars().filter(char::is_ascii_digit).count();
    ends && plate.chars().count() >= 5 && digits >= 2
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::*;

    #[test]
    fn phones_are_masked_however_they_are_written() {
        for phone in [
            "13812345678",
            "138-1234-5678",
            "138 1234 5678",
            "+86 13812345678",
            "+86-138-1234-5678",
            "8613812345678",
            "008613812345678",
            "１３８１２３４５６７８",
            "1 3 8 1 2 3 4 5 6 7 8",
            "138.1234.5678",
            "(138)12345678",
            "138－1234－5678",
        ] {
            assert_eq!(masked(&format!("联系人{phone},请回电")), "联系人[手机号],请回电", "{phone}");
        }
        for phone in ["0898-66123456", "(0898)66123456", "0898 6612 3456", "089866123456", "010-62345678", "0755-8234567"] {
            assert_eq!(masked(&format!("座机{phone}无人接听")), "座机[电话]无人接听", "{phone}");
        }
        assert_eq!(masked("办公室电话:66123456打不通"), "办公室电话:[电话]打不通");
        assert_eq!(masked("致电6612-3456询问"), "致电[电话]询问");
    }

    #[test]
    fn what_is_not_masked_can_stay_as_it_was_written() {
        let text = "联系人１３８１２３４５６７８，请回电（晚上）；车牌琼Ａ１２３４５。";
        assert_eq!(masked_as_written(text), "联系人[手机号]，请回电（晚上）；车牌琼Ａ[车牌]。");
        assert_eq!(masked_as_written("没有号码，只有［括号］。"), "没有号码，只有［括号］。");
        assert_eq!(masked_as_written("13812345678"), "[手机号]");
        assert_eq!(
            masked_as_written("请回\u{200b}电１３８\u{200b}1234\u{ad}5678，谢谢\u{200b}"),
            "请回\u{200b}电[手机号]，谢谢\u{200b}"
        );
    }

    #[test]
    fn a_number_is_masked_whatever_nobody_sees_in_it_and_however_it_is_read_out() {
        for phone in
            ["138\u{200b}1234\u{200b}5678", "138\u{ad}12345678", "138\u{2060}1234\u{2060}5678", "\u{200e}138\u{200e}12345678"]
        {
            assert_eq!(masked(phone), "[手机号]", "{phone:?}");
        }
        for phone in ["138,1234,5678", "138，1234，5678", "138、1234、5678", "138:1234:5678", "138~1234~5678", "138|1234|5678"]
        {
            assert_eq!(masked(&format!("电话{phone}。")), "电话[手机号]。", "{phone}");
        }
        assert_eq!(masked("打一三八一二三四五六七八找我,或幺三九零零零零一二三四"), "打[手机号]找我,或[手机号]");
        assert_eq!(masked("zhang\u{200b}@qq.com"), "[邮箱]");
        for nobodys in ["1001、1002、1003、1004号房", "13:14:15到16:17:18", "二零一七年十二月", "一三五七九一三五七九一三号"]
        {
            assert_eq!(masked(nobodys), nobodys);
        }
    }

    #[test]
    fn a_phone_in_the_place_of_an_orders_number_is_told_from_a_number_of_region_and_day() {
        for persons in ["13812345678", " １３８１２３４５６７８ ", "138-1234-5678", "0898-66123456", "11010119900307123X"]
        {
            assert!(is_persons_number(persons), "{persons}");
        }
        for orders in
            ["460106202611270001", "460100-20261127-0001", "261127103000001", "20171218922818", "ORD-1", "089866123456", ""]
        {
            assert!(!is_persons_number(orders), "{orders}");
        }
    }

    #[test]
    fn cards_orders_and_accounts_are_masked() {
        assert_eq!(masked("身份证11010119900307123X"), "身份证[证件号]");
        assert_eq!(masked("身份证号 110101 19900307 1234 的"), "身份证号 [证件号] 的");
        assert_eq!(masked("老证110101900307123"), "老证[证件号]");
        assert_eq!(masked("卡号6222 0212 3456 7890 123被扣款"), "卡号[银行卡]被扣款");
        assert_eq!(masked("银行卡6222021234567890123被扣款"), "银行卡[银行卡]被扣款");
        assert_eq!(masked("工单号20990101123456未处理"), "工单号[工单号]未处理");
        assert_eq!(masked("工单编号:8812345"), "工单编号:[工单号]");
        assert_eq!(masked("发到Zhang.San_88@example.com.cn"), "发到[邮箱]");
        assert_eq!(masked("QQ号:123456789,微信号zhangsan_88"), "qq号:[账号],微信号[账号]");
    }

    #[test]
    fn plates_keep_their_city() {
        assert_eq!(masked("车牌京A12345乱停"), "车牌京a[车牌]乱停");
        assert_eq!(masked("粤B·D12345和沪C 8888警"), "粤b·[车牌]和沪c [车牌]");
        assert_eq!(masked("新A座12345"), "新a座12345");
    }

    #[test]
    fn numbers_that_are_nobodys_stay() {
        for text in [
            "拨打12345和110、114、95598",
            "2099-03-04 07:08:09答复",
            "2099年3月4日07:08分",
            "乘坐13路、105路公交车",
            "票价1280.50元",
            "工资138000元",
            "海秀路25号3栋1902房",
            "8月12日至2018-12-31期间",
            "400-800-1234客服",
            "客服电话4008001234",
            "1234号话务员",
            "面积1234567平方米",
            "2018.01.05-2018.02.05",
            "国办发[2017]12号",
            "每天11:30-12:30和17:00-19:00",
            "电话咨询20180105办理的业务",
            "京a[车牌]",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn no_mobile_number_survives_any_separator() {
        let mut random = StdRng::seed_from_u64(11);
        let separators = ["", " ", "-", "  ", " - ", ".", "—", "–", "‐", "－", "　", "·", "_", "/", "*"];
        let before = ["电话", "我是+86", "86", "工单20990101-", "tel:", "", "5栋", "(", "2018-01-05 ", "110,"];
        for _ in 0..20_000 {
            let digits: Vec<char> =
                format!("1{}{:09}", random.random_range(3..=9), random.random_range(0..1_000_000_000))
                    .chars()
                    .map(|c| {
                        if random.random_bool(0.1) { char::from_u32(c as u32 + 0xfee0).expect("a full-width digit") } else { c }
                    })
                    .collect();
            let separator = separators.choose(&mut random).copied().unwrap_or("");
            let all = random.random_bool(0.2);
            let mut number = String::new();
            for (i, digit) in digits.iter().enumerate() {
                if i > 0 && (all || i == 3 || i == 7) {
                    number.push_str(separator);
                }
                number.push(*digit);
            }
            let text = format!("{}{number}一直没人接", before.choose(&mut random).copied().unwrap_or(""));
            let digits = normalize_aligned(Aligned::original(&digits.iter().collect::<String>())).text;
            let left: String = masked(&text).chars().filter(char::is_ascii_digit).collect();
            assert!(!left.contains(&digits), "{text} -> {}", masked(&text));
            assert!(masked(&text).contains(']'), "{text}");
        }
    }
}
