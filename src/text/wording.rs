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
const HEADER: &str = r"^\s*(?:市民|群众|来电人|游客|网民|网友|居民|业主)*(?:通过)?(?:来电|电话|来|电|微信|短信|网站|网络|公众号|市民云|邮件|来信|来访|app|12345)*(?:再次)?(?:反映|反应|咨询|建议|投诉|举报|求助|补充|反馈|表扬|感谢|撤销|报备)\s*:\s*";

/// Phone, ID and order numbers, with the brackets around them; and brackets that such a number left empty.
const NUMBERS: &str = r"\(\s*(?:工单|登记|办件|政府|原|编号|单号|号|no|:|\s)*(?:\[(?:工单号|电话|手机号|证件号)\]\s*)*\)|\[(?:工单号|电话|手机号|证件号)\]";

/// How a unit's name ends.
const UNIT_ENDS: &str = r"(?:局|委|办|厅|处|所|队|站|府|部门|公司|集团|中心|街道|镇|区|市|县|村|机场|公交|单位|法院|支队|大队|委会|企业|人员|领导|热线|前台|话务员|城管|交警|公安|住建|工商|市监|环保|国土|规划|供电|供水|水务|燃气|移动|联通|电信|铁塔|社保|人社|教育|卫生|卫健|消防|交通|港航|物价|税务|民政|园林|市政|排水|环卫|文体|文旅|农业|应急|安监|食药监|质监|司法|林业|海洋|残联|工会|妇联|物业|威立雅|开源|有线|有线电视|派出)";
/// What may stand between the unit and the verb.
const HOW: &str = r"(?:给予|予以|给出|作出|做出|再次|重新|尽快|尽早|立即|马上|及时|抓紧|依法|进行|协助|协调|协同|配合|前往|派人|到场|现场|按规定|妥善|认真|加强|加大|帮忙|牵头|负责|并|一并|共同|联合|具体)*";
/// What the operator wants done: at least one of these, and nothing else.
const VERBS: &str = r"(?:(?:核实|核查|核处|查实|查证|调查|查处|查看|处理|处置|办理|受理|跟进|解决|答复|回复|解答|解释|回应|关注|整改|维修|修复|清理|协调|监管|处里|执法力度|联系(?:市民|群众|来电人|车主(?:挪车|移车)?)|移车|挪车|派单|情况|为盼)[、和与及并或,]{0,1}(?:给予|予以|尽快|并|后)*)+";

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
    let new = |pattern: &str| Regex::new(pattern).expect("our own pattern");
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
            new(r"\(\s*请[^()请]{0,25}?(?:按照?规定|在规定)[^()]{0,30}?(?:响应|处置|处理)[^()]{0,6}?\)"),
            // The same without brackets.
            new(
                r"请[^请,。!?;:()\n]{0,20}?(?:按照?|在|于|规定)+(?:[0-9]{1,3}|[一二三四五六]?十)\s*分钟?之?内?[^。!?;:()]{0,20}?(?:响应并?|响应处理|)(?:处置|处理)[。!]*\)?",
            ),
            // What the hotline's system adds after dispatch.
            new(r"\(\s*(?:该|此)?(?:办件|工单)状态:[^()]{0,60}\)"),
        ],
        formula: new(&format!(
            r"{polite}{asked}{{1,30}}?(?:{HOW})核[实查]?(?:{HOW})[处外][理置里](?:了|可|sh)?(?:\s*[,。!;.]|\s*[?()\n\s]|\s*$|[0-9]|市民|谢)"
        )),
        instruction: new(&format!(
            r"{polite}(?:{asked}{{0,25}}?(?:{UNIT_ENDS}|职能|相关|有关|主管)(?:部门|单位)?[、和与及\s]?){{1,4}}(?:{HOW}){VERBS}(?:\s*[,。!;.])*\s*(?:谢谢|感谢|多谢)?您?(?:\s*[,。!;.])*\s*(?:\n|$|市民再次)"
        )),
        assignment: new(&format!(
            r"{polite}(?:话务员|前台|热线|贵热线)?{asked}{{0,8}}?(?:派单|转派|转办|派|转)(?:至|给|到|往){asked}{{2,25}}(?:\s*[,。!;.])*\s*(?:\n|$)"
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

/// Puts a gap in place of each match, less the text behind it that the pattern only looked at.
fn cut(text: Aligned, pattern: &Regex) -> Aligned {
    let edits: Vec<Edit<'_>> = pattern
        .find_iter(&text.text)
        // 申请, 邀请 and the like ask nobody to do anything.
        .filter(|found| !text.text[..found.start()].ends_with(['申', '邀', '聘', '宴', '提', '报', '约', '呈']))
        .map(|found| {
            let seen = found.as_str();
            let behind = ["市民再次", "市民", "谢", "(", ")"].iter().find(|end| seen.len() > 12 && seen.ends_with(**end));
            let digit = seen.ends_with(|c: char| c.is_ascii_digit()) as usize;
            (found.start()..found.end() - behind.map_or(digit, |end| end.len()), GAP)
        })
        .collect();
    text.edited(&edits)
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
