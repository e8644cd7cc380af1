//! The hotline's own wording around a citizen's words, in one table: headers, deadline boilerplate, dispatch instructions.
//!
//! The patterns work on normalised text (half-width punctuation, lower case). An instruction is 请 + a unit + a verb of dispatch,
//! and nothing after it in its sentence. Two kinds are told apart: the hotline's formula 请…核实处理 names any unit and goes
//! wherever it ends a clause, since a repeated call holds several; weaker verbs (请…处理, 请…答复) are also a citizen's words,
//! so they go only at the end of the text or of a call's part of it, and only after something that looks like a unit.
//! `请城管来处理占道` stays: an object follows the verb.

use std::sync::LazyLock;

use regex::Regex;

use super::aligned::{Aligned, Edit};

/// Stands where something was removed, until [`tidied`]: normalised text has no line breaks.
const GAP: &str = "\n";

/// What is removed at the start: who called how, and the colon. Departments that call are not citizens: that header stays.
const HEADER: &str = r"^\s*(?:(?:市民|群众|来电人|游客|网民|网友|居民|业主)[^:;,。!?()\[\]]{0,12}?(?:反映|反应|咨询|建议|投诉|举报|求助|补充|反馈|表扬|感谢|撤销|报备)\s*[:;]|市民(?:来电|微信|短信|网站)(?:反映|咨询))\s*";

/// Phone, ID and order numbers, with the brackets around them; and brackets that such a number left empty.
const NUMBERS: &str = r"\(\s*(?:工单|登记|办件|政府|原|编号|单号|号|no|:|\s)*(?:\[(?:工单号|电话|手机号|证件号)\]\s*)*\)|\[(?:工单号|电话|手机号|证件号)\]";

/// How a unit's name ends.
const UNIT_ENDS: &str = r"(?:局|委|办|厅|处|所|队|站|府|监察|开发商|部门|公司|集团|中心|街道|镇|区|市|县|村|机场|公交|单位|法院|支队|大队|委会|企业|人员|领导|热线|前台|话务员|城管|交警|公安|住建|工商|市监|环保|国土|规划|供电|供水|水务|燃气|移动|联通|电信|铁塔|社保|人社|教育|卫生|卫健|消防|交通|港航|物价|税务|民政|园林|市政|排水|环卫|文体|文旅|农业|应急|安监|食药监|质监|司法|林业|海洋|残联|工会|妇联|物业|威立雅|开源|有线|有线电视|派出)";
/// What may stand between the unit and the verb.
const HOW: &str = r"(?:给予|予以|给出|明确|作出|做出|再次|重新|尽快|尽早|立即|马上|及时|抓紧|依法|进行|出面|协助|协调|协同|配合|前往|派人|到达|到场|到|现场|按规定|妥善|认真|加强|加大|帮忙|牵头|负责|并|一并|共同|联合|具体)*";
/// A few words more between the unit and the verb, but no object: what stands behind 对 or 把 is what the appeal is about.
const FREE: &str = r"[^请,。!?;:()\[\]\n对将把关就给]{0,6}?";
/// What the operator wants done: at least one of these, and nothing else.
const VERBS: &str = r"(?:(?:核?实?处护?理|核实|核查|核处|核准|查实|查证|调查|查处|查看|处置|办理|受理|跟进|解决|答复|回复|解答|解释|回应|关注|整改|纠正|维修|修复|清理|取缔|检测|协调|监管|处里|执法力度|联系(?:市民|群众|来电人|车主(?:挪车|移车)?)|移车|挪车|派单|转派|情况|为盼|肯定)[、和与及并或,后]{0,1}(?:给予|予以|尽快|并|后)*)+(?:市民|群众|来电人|诉求人|热线|意见|[该此]问题|好|吧|可|了)?";
/// Where 请 begins another word, or is no request of the operator's: 请问, 请求, 请示, 请假.
const NO_INSTRUCTION: [char; 4] = ['问', '求', '示', '假'];
/// 请教 is another word too, unless a unit for education follows.
const EDUCATION: [&str; 4] = ["教育", "教体", "教科", "教委"];
/// In front of 请: 申请, 邀请, 聘请, ….
const NO_REQUEST: [char; 8] = ['申', '邀', '聘', '宴', '提', '报', '约', '呈'];
/// A question is a citizen's.
const QUESTIONS: [&str; 6] = ["哪", "谁", "什么", "怎", "如何", "何时"];

/// The patterns, compiled. Order is the order of use.
struct Wording {
    header: Regex,
    numbers: Regex,
    boilerplate: Vec<Regex>,
    formula: Regex,
    instruction: Regex,
    assignment: Regex,
    gap: Regex,
    marks: Regex,
    space: Regex,
}

static WORDING: LazyLock<Wording> = LazyLock::new(|| {
    let new = super::pattern::pattern;
    let polite = r"(?:故|现|特|还|烦|恳|敬|望|麻烦)?请";
    let asked = r"[^请,。!?;:()\[\]\n]";
    Wording {
        header: new(HEADER),
        numbers: new(NUMBERS),
        boilerplate: vec![
            // (请某局按规定在30分钟内联系市民,响应处置), (30分钟办件); the closing bracket may be missing.
            new(
                r"\(\s*(?:请[^()请]{0,25}?)?(?:按照?|在|于|规定)*(?:[0-9]{1,3}|[一二三四五六]?十|半)\s*(?:分钟?|个?小时)之?内?[^()]{0,30}?(?:处置|处理|办件|办结|联系(?:市民|群众)|响应)[^()]{0,6}?(?:\)|[。!]?\s*$|[。!]?\s*\n)",
            ),
            new(r"\(\s*请[^()请]{0,25}?(?:按照?规定|在规定)[^()]{0,30}?(?:响应|处置|处理|核实)[^()]{0,6}?\)"),
            new(r"\(\s*(?:30|三十)\s*分钟?之?内?\s*\)"),
            // The same without brackets.
            new(
                r"请[^请,。!?;:()\n]{0,20}?(?:按照?|在|于|规定)+(?:[0-9]{1,3}|[一二三四五六]?十)\s*分钟?之?内?[^。!?;:()]{0,20}?(?:响应并?|响应处理|)(?:处置|处理)[。!]*\)?",
            ),
            // What the hotline's system adds after dispatch.
            new(r"\(\s*(?:该|此)?(?:办件|工单)状态:[^()]{0,60}\)"),
        ],
        formula: new(&format!(
            r"(?P<x>{polite}{asked}{{0,30}}?(?:{HOW})核[实查]?(?:{HOW})[处外][理置里](?:了|可|sh)?)(?:\s*[,。!;.]|\s*[?()\s]|\s*$|[0-9]|市民|谢)"
        )),
        instruction: new(&format!(
            r"(?P<x>{polite}(?:{asked}{{0,25}}?(?:{UNIT_ENDS}|职能|相关|有关|主管)(?:部门|单位)?[、和与及\s]?){{1,4}}(?:{HOW}){FREE}(?:{HOW}){VERBS})(?:\s*[,。!;.])*\s*(?:谢谢|感谢|多谢)?您?(?:\s*[,。!;.])*\s*(?:\n|$|市民再次)"
        )),
        assignment: new(&format!(
            r"(?P<x>{polite}(?:话务员|前台|热线|贵热线)?{asked}{{0,8}}?(?:派单|转派|转办|派|转)(?:至|给|到|往){asked}{{2,25}})(?:\s*[,。!;.])*\s*(?:\n|$)"
        )),
        gap: new(r"[\s,。!?;、.]*(?:\n[\s,。!?;、.\n]*(?:谢谢|感谢)?[\s,。!?;、.]*)+"),
        marks: new(r"[,。!?;、](?:\s*(?:[,。!?;、]|谢谢))+"),
        space: new(" "),
    }
});

/// Without phone, ID and order numbers.
pub(super) fn without_numbers(text: Aligned) -> Aligned {
    let edits: Vec<Edit<'_>> = WORDING.numbers.find_iter(&text.text).map(|found| (found.range(), "")).collect();
    text.edited(&edits)
}

/// Without header, boilerplate and instructions.
pub(super) fn without_instructions(text: Aligned) -> Aligned {
    let wording = &*WORDING;
    let header = wording.header.find(&text.text).map_or(0, |found| found.end());
    let length = text.text.len();
    let mut text = text.kept(header..length);
    for pattern in &wording.boilerplate {
        text = cut(text, pattern);
    }
    for pattern in [&wording.formula, &wording.instruction, &wording.assignment] {
        text = cut(text, pattern);
    }
    tidied(text)
}

/// Puts a gap in place of each match, or of its group `x` where the pattern looks at what follows.
fn cut(text: Aligned, pattern: &Regex) -> Aligned {
    let edits: Vec<Edit<'_>> = pattern
        .captures_iter(&text.text)
        .filter_map(|found| found.name("x").or_else(|| found.get(0)))
        .filter(|found| !text.text[..found.start()].ends_with(NO_REQUEST) && is_instruction(found.as_str()))
        .map(|found| (found.range(), GAP))
        .collect();
    text.edited(&edits)
}

fn is_instruction(found: &str) -> bool {
    let asked = found.split_once('请').map_or("", |(_, asked)| asked);
    let asks_for_advice = asked.starts_with('教') && !EDUCATION.iter().any(|unit| asked.starts_with(unit));
    !asked.starts_with(NO_INSTRUCTION) && !asks_for_advice && !QUESTIONS.iter().any(|question| asked.contains(question))
}

/// One mark where something was removed, none at the end.
fn tidied(text: Aligned) -> Aligned {
    let wording = &*WORDING;
    let mut text = text;
    for pattern in [&wording.gap, &wording.marks] {
        let edits: Vec<Edit<'_>> = pattern
            .find_iter(&text.text)
            .map(|found| (found.range(), if found.as_str().contains('?') { "?" } else { "。" }))
            .collect();
        text = text.edited(&edits);
    }
    let mut end = text.text.as_str();
    let mut start = 0;
    loop {
        let trimmed = end.trim_end_matches([' ', ',', '。', '!', ';', '、', ':', '.', '~']);
        let trimmed = trimmed.strip_suffix("谢谢").unwrap_or(trimmed);
        if trimmed.len() == end.len() {
            break;
        }
        end = trimmed;
    }
    let length = end.len();
    while text.text[start..length].starts_with([' ', ',', '。', '!', '?', ';', '、', ':']) {
        start += text.text[start..length].chars().next().map_or(0, char::len_utf8);
    }
    text.kept(start..length)
}

/// Drops spaces beside anything but Latin letters and digits: Chinese has no use for them.
pub(super) fn without_spaces(text: Aligned) -> Aligned {
    let latin = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_chinese(c));
    let edits: Vec<Edit<'_>> = WORDING
        .space
        .find_iter(&text.text)
        .filter(|found| {
            let before = text.text[..found.start()].chars().next_back();
            let after = text.text[found.end()..].chars().next();
            !(latin(before) && latin(after))
        })
        .map(|found| (found.range(), ""))
        .collect();
    text.edited(&edits)
}

fn is_chinese(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> String {
        without_instructions(Aligned::original(text)).text
    }

    #[test]
    fn the_header_of_a_citizens_call_goes_and_a_departments_stays() {
        for header in [
            "市民来电反映:",
            "市民来电咨询: ",
            "市民微信反映:",
            "市民公众号反映:",
            "市民再次来电补充:",
            "群众来电投诉;",
            "市民云反映:",
        ] {
            assert_eq!(without(&format!("{header}楼下烧烤摊油烟太大")), "楼下烧烤摊油烟太大", "{header}");
        }
        assert_eq!(without("某区城管来电反馈:楼下烧烤摊已撤"), "某区城管来电反馈:楼下烧烤摊已撤");
    }

    #[test]
    fn instructions_at_the_end_go_with_their_thanks_and_deadlines() {
        for instruction in [
            "请交警核实处理",
            ",请某某区政府核实处理,谢谢!",
            "。请市公安局核实处理!(请职能局按规定在30分钟内联系市民,响应处置)",
            ",请城管部门核实处理!谢谢!(请城管部门按规定在30分钟内核实处理,响应处置",
            "。请职能局给予核实回复",
            "!请职能局在三十分钟内联系市民,响应处置",
            ",烦请相关部门尽快处理",
            ",请交警、城管协调处理。",
            "。请水务集团跟进处理并回复市民。",
            "(30分钟办件)",
            ",请供电局派人现场查看维修",
            ",请派单至某某镇",
        ] {
            assert_eq!(without(&format!("夜里施工吵得睡不着{instruction}")), "夜里施工吵得睡不着", "{instruction}");
        }
        assert_eq!(without("夜里施工到几点?请城管核实处理。"), "夜里施工到几点?");
    }

    #[test]
    fn an_instruction_between_two_calls_leaves_one_full_stop() {
        let text = "井盖翘起,请某区政府核实处理,谢谢!(请职能局按规定在30分钟内联系市民,响应处置)2099-01-02某街道办:已派人。市民再次来电反映:还没修好,请某区政府核实处理!";
        assert_eq!(without(text), "井盖翘起。2099-01-02某街道办:已派人。市民再次来电反映:还没修好");
    }

    #[test]
    fn a_citizens_own_words_stay() {
        for text in [
            "请城管来处理占道的烧烤摊",
            "请问路灯坏了归哪个部门处理",
            "申请交警核实处理的结果一直没有",
            "门口有人摆摊,请城管来管一管我们这里",
            "我请物业处理过三次都没人来",
            "等了(从早上算30分钟)也没人处理",
            "请把路灯修好",
            "想请教如何办理居住证",
            "想请教社保中断了向哪个部门咨询处理",
        ] {
            assert_eq!(without(text), text);
        }
    }
}
