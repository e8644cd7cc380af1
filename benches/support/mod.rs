//! For the benches: the bundled model, and invented appeals of any length.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(clippy::print_stderr, reason = "a bench that does nothing must say so")]

use std::path::Path;
use std::sync::Arc;

use paidan::model::Artifacts;
use paidan::routing::Router;
use paidan::rulings::{EmbeddedRuling, RulingDraft};
use paidan::text::Appeal;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// The median of real appeals is 45 characters, the 90th percentile 163, the 99th 596.
const APPEAL: &str = "小区门口的路灯坏了很久没人修，晚上出行不便，希望有关部门尽快派人来处理。\
    楼下烧烤店油烟很大，夜里十二点还在营业，吵得睡不着；邻居违章搭建，挡住了采光，物业说管不了，请核实。";

/// The bundled model; without it the bench says so and does nothing.
pub fn artifacts() -> Option<Artifacts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/haikou12345");
    match Artifacts::open(&folder) {
        Ok(artifacts) => Some(artifacts),
        Err(error) => {
            eprintln!("NOTHING IS MEASURED: the benches need the bundled model: {error}");
            None
        }
    }
}

/// An invented appeal of so many characters.
pub fn text(characters: usize) -> String {
    APPEAL.chars().cycle().take(characters).collect()
}

/// Length of the bundled model's embeddings.
pub const WIDTH: usize = 512;

/// Embeddings of length one around those of four hundred invented appeals, as past orders lie around a city's matters.
pub fn points(router: &Router, count: usize) -> Vec<Vec<f32>> {
    const MATTERS: [&str; 20] = [
        "路灯不亮",
        "占道经营",
        "违章搭建",
        "出租车拒载",
        "公交车不按时发车",
        "小区停水",
        "经常停电",
        "下水道堵塞",
        "工地夜间施工噪音",
        "烧烤店油烟",
        "拖欠工资",
        "社保卡办理",
        "学校乱收费",
        "医院收费不合理",
        "物业不作为",
        "房产证办不下来",
        "路面坑洼",
        "垃圾无人清运",
        "红绿灯故障",
        "商家不退押金",
    ];
    const PLACES: [&str; 20] = [
        "小区门口",
        "菜市场旁",
        "学校对面",
        "公园里",
        "村口",
        "工业大道",
        "火车站",
        "医院附近",
        "江边",
        "广场",
        "新城",
        "老街",
        "北路",
        "南路",
        "镇政府旁",
        "码头",
        "桥下",
        "商场",
        "居民楼下",
        "开发区",
    ];
    let texts =
        MATTERS.iter().flat_map(|matter| PLACES.iter().map(move |place| format!("市民反映{place}{matter}，要求处理。")));
    let prepared: Vec<_> =
        texts.map(|text| router.prepare(&Appeal::from_text(&text).expect("an appeal")).expect("prepared")).collect();
    let centres: Vec<Vec<f32>> =
        router.route(&prepared).expect("routed").into_iter().map(|decision| decision.embedding).collect();
    let rng = &mut StdRng::seed_from_u64(1);
    // A stray of length .6, seen from a centre of length one.
    let far = 0.6 / (WIDTH as f32 / 3.0).sqrt();
    let mut point = |i: usize| -> Vec<f32> {
        let stray = centres[i % centres.len()].iter().map(|x| x + far * rng.random_range(-1.0..1.0f32));
        let mut point: Vec<f32> = stray.collect();
        let length = point.iter().map(|x| x * x).sum::<f32>().sqrt();
        point.iter_mut().for_each(|x| *x /= length);
        point
    };
    (0..count).map(&mut point).collect()
}

/// A ruling for each point, in force; `scope` is `case` or `standing`.
pub fn embedded_rulings(scope: &str, points: Vec<Vec<f32>>) -> Vec<EmbeddedRuling> {
    let draft = |i: usize| RulingDraft {
        id: format!("{scope}-{i:06}"),
        scope: scope.to_owned(),
        matter: format!("事项{i}"),
        description: "仅供测试".to_owned(),
        lead: "城管".to_owned(),
        body: "committee".to_owned(),
        decided_on: "2017-06-01".to_owned(),
        ..RulingDraft::default()
    };
    let embedded = |(i, point): (usize, Vec<f32>)| {
        let ruling = draft(i).parse(None).expect("a ruling of the bench");
        EmbeddedRuling { ruling: Arc::new(ruling), embeddings: vec![point] }
    };
    points.into_iter().enumerate().map(embedded).collect()
}
