//! Which open order a new one repeats: by likeness and place, or by caller.

use std::time::{Duration, Instant};

use paidan::catalog::Day;
use paidan::repeats::{CallerMark, Marks, OpenOrder, OpenOrders, Repeat, WINDOW_DAYS};

const SMOKE: &str = "某区甲乙路8号烧烤店油烟太大，影响周边居民休息";

fn day(number: u32) -> Day {
    let first = Day::from_ymd_opt(2099, 1, 1).expect("a day");
    first + chrono::Days::new(u64::from(number - 1))
}

fn order(id: &str, number: u32, text: &str) -> OpenOrder {
    let first_seen = day(number).and_hms_opt(9, 0, 0).expect("a time").and_utc();
    let id = id.to_owned();
    OpenOrder { id, day: day(number), marks: Marks::of(text), caller: None, district: String::new(), first_seen }
}

fn within(district: &str, order: OpenOrder) -> OpenOrder {
    OpenOrder { district: district.to_owned(), ..order }
}

fn called(caller: &str, order: OpenOrder) -> OpenOrder {
    OpenOrder { caller: CallerMark::of(caller), ..order }
}

fn found(orders: &OpenOrders, new: &OpenOrder) -> Option<String> {
    orders.find(new, WINDOW_DAYS).map(|repeat| repeat.order_id)
}

#[test]
fn a_second_call_and_a_units_call_repeat_the_first() {
    let orders = OpenOrders::of([order("A1", 1, SMOKE), order("A2", 1, "某区丙丁路9号工地夜间施工，噪音扰民")]);
    let second = format!("{SMOKE}。2099-01-0209:18:57某区某局答复：已责令整改。市民再次来电反映：没有改善");
    let unit = format!("某局来电反馈：工单号《关于油烟的问题》处理情况工单内容：市民来电反映：{SMOKE}");
    for text in [SMOKE, &second, &unit] {
        let repeat = orders.find(&order("A3", 2, text), WINDOW_DAYS).expect("a repeat");
        let expected =
            Repeat { order_id: "A1".to_owned(), similarity: 1.0, shared_place: "甲乙路8号".to_owned(), same_caller: false };
        assert_eq!(repeat, expected, "{text}");
    }
}

#[test]
fn a_neighbour_who_reports_the_same_thing_in_nearly_the_same_words_repeats_it() {
    let orders = OpenOrders::of([order("A1", 1, SMOKE)]);
    assert_eq!(found(&orders, &order("A2", 3, "甲乙路烧烤店油烟太大，严重影响居民休息")), Some("A1".to_owned()));
}

#[test]
fn the_same_words_elsewhere_or_nowhere_and_other_words_at_the_same_place_are_no_repeat() {
    let orders = OpenOrders::of([order("A1", 1, SMOKE), order("A2", 1, "车管所电话是多少")]);
    for text in [
        "某区丙丁路8号烧烤店油烟太大，影响周边居民休息",
        "某区甲乙路10号烧烤店油烟太大，影响周边居民休息",
        "烧烤店油烟太大，影响周边居民休息",
        "某区甲乙路8号门口路灯坏了三个月，晚上看不见路",
        "车管所电话是多少",
        "",
    ] {
        assert_eq!(found(&orders, &order("A3", 2, text)), None, "{text}");
    }
}

#[test]
fn one_long_address_with_another_trouble_is_no_repeat_however_much_of_the_words_it_is() {
    let at = "某区甲乙路丙丁广场戊己大厦";
    let orders = OpenOrders::of([order("A1", 1, &format!("{at}楼下有人喝醉大声喧哗"))]);
    let (other, same) = (format!("{at}门前很多汽车违停"), format!("{at}门前有人喝醉喧哗"));
    let (other, same) = (order("A2", 1, &other), order("A3", 1, &same));
    let of_first = |new: &OpenOrder| new.marks.likeness(&Marks::of(&format!("{at}楼下有人喝醉大声喧哗")));
    assert!(of_first(&other) > 0.5, "most of its characters are the address: {}", of_first(&other));
    assert_eq!((found(&orders, &other), found(&orders, &same)), (None, Some("A1".to_owned())));
}

#[test]
fn after_some_days_only_nearly_the_same_words_are_the_same_thing() {
    let orders = OpenOrders::of([order("A1", 1, SMOKE)]);
    let new = |number| order("A2", number, "甲乙路烧烤店油烟太大，严重影响居民休息");
    assert_eq!(found(&orders, &new(4)), Some("A1".to_owned()), "on the third day after it");
    assert_eq!(found(&orders, &new(5)), None, "on the fourth");
    assert_eq!(found(&orders, &order("A2", 20, SMOKE)), Some("A1".to_owned()), "word by word, weeks later");
}

#[test]
fn a_road_and_a_house_in_it_are_not_two_places_to_who_names_the_road_alone() {
    let said = "其在某市甲乙大道某品牌店买了一辆车，车门生锈，店家不给修";
    let orders = OpenOrders::of([order("A1", 1, said)]);
    let other = "其在甲乙大道另一品牌店买了一辆车，车门生锈，到甲乙大道172号修理，只喷漆";
    assert!(Marks::of(other).likeness(&Marks::of(said)) > 0.35, "{}", Marks::of(other).likeness(&Marks::of(said)));
    assert_eq!(found(&orders, &order("A2", 1, other)), None);
}

#[test]
fn the_same_caller_needs_no_place_but_likeness() {
    let orders = OpenOrders::of([called("c1", order("A1", 1, "手机被扣了宽带费，客服不肯说明原因"))]);
    let again = |caller: &str| called(caller, order("A2", 2, "手机又被扣了宽带费，客服还是不肯说明"));
    let repeat = orders.find(&again("c1"), WINDOW_DAYS).expect("a repeat");
    assert!(repeat.same_caller && repeat.shared_place.is_empty());
    assert_eq!((found(&orders, &again("c2")), found(&orders, &again(""))), (None, None));
    let other = called("c1", order("A3", 2, "公交车等了一个小时没有来"));
    assert_eq!(found(&orders, &other), None, "another matter of the same caller");
}

#[test]
fn an_order_never_repeats_itself_nor_one_that_is_closed_too_old_or_later() {
    let mut orders = OpenOrders::of([order("A1", 1, SMOKE)]);
    assert_eq!(found(&orders, &order("A1", 2, SMOKE)), None, "itself, routed again");
    assert_eq!(found(&orders, &order("A2", 1 + WINDOW_DAYS, SMOKE)), Some("A1".to_owned()));
    assert_eq!(found(&orders, &order("A2", 2 + WINDOW_DAYS, SMOKE)), None, "too old");
    let early = OpenOrders::of([order("A1", 5, SMOKE)]);
    assert_eq!(found(&early, &order("A2", 4, SMOKE)), None, "an order of a later day");
    orders.remove("A1");
    orders.remove("A9");
    assert!(orders.is_empty() && found(&orders, &order("A2", 2, SMOKE)).is_none());
}

#[test]
fn of_two_that_are_alike_the_later_repeats_the_earlier_however_often_either_is_asked_for() {
    let (first, second) = (order("B1", 1, SMOKE), order("A2", 2, SMOKE));
    // Asked for again on a later day; the days that the hotline gives do not tell which came first.
    for again in [2, 3] {
        let mut orders = OpenOrders::of([first.clone(), second.clone()]);
        for _ in 0..2 {
            let first = order("B1", again, SMOKE);
            assert_eq!(found(&orders, &first), None, "what came after it repeats it");
            orders.insert(first);
            assert_eq!(found(&orders, &order("A2", again, SMOKE)), Some("B1".to_owned()));
        }
    }
}

#[test]
fn what_comes_new_came_after_all_that_are_known_whatever_the_clock_says() {
    let orders = OpenOrders::of([order("A1", 5, SMOKE)]);
    let known = order("A1", 5, SMOKE).first_seen;
    let [behind, ahead] = [known - chrono::Duration::hours(1), known + chrono::Duration::hours(1)];
    assert!(orders.moment(behind) > known && orders.moment(known) > known);
    assert_eq!(orders.moment(ahead), ahead);
}

#[test]
fn the_same_words_in_two_districts_are_no_repeat_and_where_one_names_none_they_may_be() {
    let orders = OpenOrders::of([within("东区", called("c1", order("A1", 1, SMOKE)))]);
    let new = |district| within(district, called("c1", order("A2", 2, SMOKE)));
    assert_eq!(found(&orders, &new("西区")), None, "not even of the same caller");
    assert_eq!(found(&orders, &new("东区")), Some("A1".to_owned()));
    assert_eq!(found(&orders, &new("")), Some("A1".to_owned()));
}

#[test]
fn a_closed_order_that_is_asked_for_again_is_no_candidate_again() {
    let mut orders = OpenOrders::of([order("A1", 1, SMOKE)]);
    orders.close("A1", day(2));
    // One that this server has never heard of may be closed as well.
    orders.close("A2", day(2));
    for closed in ["A1", "A2"] {
        orders.insert(order(closed, 3, SMOKE));
    }
    assert!(orders.is_empty() && found(&orders, &order("A3", 3, SMOKE)).is_none());
    orders.forget_before(day(3));
    orders.insert(order("A1", 3, SMOKE));
    assert_eq!(orders.len(), 1, "a month later it is the database that knows");
}

#[test]
fn the_likest_is_named_and_of_equals_the_newest() {
    let near = "某区甲乙路8号烧烤店油烟很大，味道呛人，影响休息";
    let orders = OpenOrders::of([order("A1", 3, near), order("A2", 1, SMOKE), order("A3", 2, SMOKE)]);
    assert_eq!(found(&orders, &order("A4", 4, SMOKE)), Some("A3".to_owned()));
}

#[test]
fn an_order_that_comes_again_takes_the_place_of_the_first_and_old_days_are_forgotten() {
    let mut orders = OpenOrders::of([order("A1", 1, SMOKE), order("A1", 2, "某区丙丁路9号工地夜间施工，噪音扰民")]);
    assert_eq!(orders.len(), 1);
    assert_eq!(found(&orders, &order("A2", 3, SMOKE)), None);
    orders.insert(order("A2", 9, SMOKE));
    let before = orders.clone();
    orders.forget_before(day(5));
    assert_eq!((orders.len(), before.len()), (1, 2), "a copy keeps what it has");
    assert_eq!(found(&orders, &order("A3", 9, SMOKE)), Some("A2".to_owned()));
}

#[test]
fn sixty_thousand_open_orders_are_searched_in_no_time() {
    let roads = ["甲", "乙", "丙", "丁", "戊", "己", "庚", "辛", "壬", "癸"];
    let text = |i: usize| {
        let (a, b, c) = (roads[i % 10], roads[i / 10 % 10], roads[i / 100 % 10]);
        format!("某区{a}{b}{c}路{}号门口有人占道经营第{i}次", i / 1000)
    };
    let orders = OpenOrders::of((0..60_000).map(|i| order(&format!("A{i}"), 1 + i as u32 % 28, &text(i))));
    assert_eq!(orders.len(), 60_000);
    let new: Vec<OpenOrder> = (0..100).map(|i| order("new", 28, &text(i * 597))).collect();
    let started = Instant::now();
    let all_found = new.iter().all(|new| found(&orders, new).is_some());
    // Far more than it takes, on any machine and without optimisation; the measured figure is in the report of the repeats.
    assert!(all_found && started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
