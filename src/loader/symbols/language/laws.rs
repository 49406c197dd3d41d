//! Properties of all names, and examples of each language.

use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

use crate::loader::symbols::language::{Language, Words};
use crate::loader::symbols::name::Name;

/// A symbol, its language, and its short name.
const RUST: &[(&str, &str)] = &[
    ("a::b::c::d", "c::d"),
    ("alloc::raw_vec::RawVec<T,A>::with_capacity", "RawVec::with_capacity"),
    ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", "Vec::clone"),
    ("<&mut my::Cache<u8> as core::fmt::Debug>::fmt", "Cache::fmt"),
    // A type that can be any says nothing; its trait does.
    ("<T as my::Trait>::go", "Trait::go"),
    ("<&'a mut Fut as core::future::future::Future>::poll", "Future::poll"),
    ("<U as core::convert::Into<T>>::into", "Into::into"),
    ("<u8 as my::Trait>::go", "u8::go"),
    ("<my::A>::new", "A::new"),
    ("<server::cache::Cache>::insert", "Cache::insert"),
    ("my::main::{{closure}}", "my::main::{closure}"),
    ("my::main::{{closure}}::{{closure}}", "my::main::{closure}::{closure}"),
    ("my::run::<fn() -> u8>::{closure#0}", "my::run::{closure}"),
    ("<my::Db as my::Open>::open::{closure#0}::{closure#1}", "Db::open::{closure}::{closure}"),
    ("my::serve::{async_fn_env#0}", "my::serve::{async_fn}"),
    ("my::serve::{async_block#0}::helper", "serve::helper"),
    (
        "<my::main::{closure#0} as core::ops::FnOnce<()>>::call_once::{shim:vtable#0}",
        "my::main::{closure}::call_once",
    ),
    ("<my::F as core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}", "F::call_once"),
    ("core::ops::function::FnOnce::call_once{{vtable.shim}}", "FnOnce::call_once"),
    ("my::thing::{impl#3}::fmt", "thing::fmt"),
    ("syn::item::parsing::<impl syn::parse::Parse for syn::item::Item>::parse", "Item::parse"),
    (
        "serde::de::impls::<impl serde::de::Deserialize for alloc::vec::Vec<T>>::deserialize",
        "Vec::deserialize",
    ),
    ("alloc::slice::<impl [T]>::to_vec", "[T]::to_vec"),
    ("core::str::<impl str>::trim", "str::trim"),
    ("core::tuple::<impl core::cmp::PartialEq for (X,W)>::ne", "(X, W)::ne"),
    ("core::fmt::num::<impl core::fmt::Debug for u32>::fmt", "u32::fmt"),
    ("my::x::<impl core::convert::From<my::E> for T>::from", "From::from"),
    (
        "<&dyn core::ops::Fn<(), Output = i32> + core::Sync as core::FnOnce<()>>::call_once",
        "Fn::call_once",
    ),
    ("<alloc::boxed::Box<dyn core::any::Any+core::marker::Send> as my::T>::f", "Box::f"),
    ("<[my::Item; 4] as my::T>::f", "[Item; 4]::f"),
    ("<(my::A, my::B<u8>) as my::T>::f", "(A, B)::f"),
    ("<for<'a> fn(&'a my::A) -> my::B as my::T>::f", "fn::f"),
    ("<<my::I as core::iter::Iterator>::Item as my::T>::f", "Item::f"),
    ("my::parse::<'<', my::A>", "my::parse"),
    ("my::f::<{my::N::<\"a>b\">}>::g", "f::g"),
    ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "ptr::drop_in_place"),
    ("my::f<u8>.cold", "my::f"),
    ("main", "main"),
];

const CPP: &[(&str, &str)] = &[
    (
        "ns::Store::insert(std::vector<ns::Key, std::allocator<ns::Key> > const&, other::Blob)",
        "Store::insert",
    ),
    ("std::ostream& operator<< <int>(std::ostream&, ns::Matrix<int> const&)", "operator<<"),
    ("std::ostream& operator<<<int>(std::ostream&, ns::Matrix<int> const&)", "operator<<"),
    ("ns::Point::operator<(ns::Point const&) const", "Point::operator<"),
    ("bool ns::operator< <int>(ns::P<int>, ns::P<int>)", "ns::operator<"),
    ("auto ns::Point::operator<=>(ns::Point const&) const", "Point::operator<=>"),
    ("ns::Foo::operator->()", "Foo::operator->"),
    ("ns::Foo::operator->*(int)", "Foo::operator->*"),
    ("ns::Foo::operator>>=(int)", "Foo::operator>>="),
    ("ns::Foo::operator,(int)", "Foo::operator,"),
    ("std::function<void (int)>::operator()(int) const", "function::operator()"),
    ("Foo::operator[](unsigned long) &", "Foo::operator[]"),
    ("Foo::operator new[](unsigned long)", "Foo::operator new[]"),
    ("operator new(unsigned long)", "operator new"),
    ("ns::Matrix<int>::operator bool() const", "Matrix::operator bool"),
    (
        "ns::Matrix<int>::operator std::vector<int, std::allocator<int> >() const",
        "Matrix::operator std::vector",
    ),
    ("ns::Matrix<int>::operator char*<char>()", "Matrix::operator char*"),
    ("Foo::operator void (*)(int)()", "Foo::operator void (*)(int)"),
    ("ns::operator\"\" _km(unsigned long long)", "ns::operator\"\"_km"),
    ("ns::operator_km::operator \"\"(unsigned long long)", "ns::operator\"\"_km"),
    ("ns::Foo::Foo(ns::Foo&&)", "Foo::Foo"),
    ("ns::Foo<std::pair<int, int> >::~Foo()", "Foo::~Foo"),
    ("void ns::Cache<ns::Key, ns::Val>::emplace<ns::Key const&>(ns::Key const&)", "Cache::emplace"),
    ("decltype(auto) ns::visit<ns::V>(ns::V&&)", "ns::visit"),
    ("decltype (((declval<int>)()).size()) ns::go<int>(int)", "ns::go"),
    ("void (*ns::get<int>(int))(char)", "ns::get"),
    ("void (*)(char) ns::get<int>(int)", "ns::get"),
    ("void (ns::A::*&&ns::pass<void (ns::A::*)()>(ns::R&))()", "ns::pass"),
    ("std::enable_if<((1)>(2)), int>::type ns::f<int>(int)", "ns::f"),
    ("(anonymous namespace)::Worker::run()", "Worker::run"),
    ("ns::(anonymous namespace)::helper(char const*)", "ns::helper"),
    ("(anonymous namespace)::helper()", "helper"),
    ("main::{lambda(int)#1}::operator()(int) const", "main::{lambda}"),
    ("ns::run()::{lambda(int)#1}::operator()(int) const", "ns::run::{lambda}"),
    (
        "ns::A::run(int) const &::{lambda()#2}::operator()() const::{lambda(auto:1)#1}::operator()<\
      int>(int) const",
        "A::run::{lambda}::{lambda}",
    ),
    ("ns::run()::{lambda(int)#1}::_FUN(int)", "ns::run::{lambda}"),
    ("ns::run()::'lambda'(int)::operator()(int) const", "ns::run::{lambda}"),
    ("ns::run(int)::$_0::operator()() const", "ns::run::{lambda}"),
    ("ns::run()::Local::hi()", "Local::hi"),
    ("ns::run(int)::<lambda(int)>::operator()(int) const", "ns::run::{lambda}"),
    ("thread<main()::<lambda()> >", "thread"),
    ("ns::name[abi:cxx11](int)", "ns::name"),
    (
        "std::__cxx11::basic_string<char, C, A>::_M_create(unsigned long&, unsigned long)",
        "basic_string::_M_create",
    ),
    ("std::__cxx11::to_string(int)", "std::to_string"),
    ("std::__1::vector<int>::push_back(int&&)", "vector::push_back"),
    ("ns::f(int) [clone .isra.0] [clone .cold]", "ns::f"),
    ("non-virtual thunk to ns::A::f()", "A::f"),
    ("{virtual override thunk({offset(-16)}, ns::A::f())}", "A::f"),
    ("QObject::connect(QObject const*, char const*)@@Qt_5", "QObject::connect"),
    ("unsigned long ns::hash<ns::K<(ns::E)1> >(ns::K<(ns::E)1> const&)", "ns::hash"),
    ("_ZN2ns5Store6insertERKSt6vectorIiSaIiEE", "Store::insert"),
    ("__ZN2ns5Store6insertEi", "Store::insert"),
    ("_ZN2ns1fEi.isra.0", "ns::f"),
];

const OTHERS: &[(Language, &str, &str)] = &[
    (Language::D, "pure nothrow @nogc @safe void app.cache.insert(int)", "cache.insert"),
    (Language::D, "ref int app.S!(int, 3).S.opIndex(ulong) return", "S.opIndex"),
    (Language::D, "const(char)[] std.conv.to!(int).to(long)", "conv.to"),
    (Language::D, "int app.main().nested(int)", "main.nested"),
    (Language::D, "int app.main().__lambda2(int)", "app.main.{lambda}"),
    (Language::D, "app.C app.C.this(int)", "C.this"),
    (Language::D, "_D3app5cache6insertFNaNbNiNfiZv", "cache.insert"),
    (Language::D, "_D3app1C6__ctorMFiZCQs1C", "C.this"),
    (Language::D, "_Dmain", "D main"),
    (Language::ObjectiveC, "-[NSString init@:]", "-[NSString init@:]"),
    (Language::ObjectiveC, "+[Store(Disk) open:mode:]", "+[Store(Disk) open:mode:]"),
    (Language::ObjectiveC, "__29-[Store open:]_block_invoke_2", "-[Store open:]::{block}"),
    (Language::Go, "github.com/x/y.(*Cache).Insert", "y.(*Cache).Insert"),
    (Language::Go, "github.com/x/y.Map[go.shape.int].Put", "y.Map.Put"),
    // One letter is a type in C++'s mangling only behind `_Z`.
    (Language::C, "h", "h"),
    (Language::C, "i", "i"),
    (Language::C, "b", "b"),
    (Language::C, "St", "St"),
    (Language::C, "_Zalloc", "_Zalloc"),
    (Language::C, "R_alloc", "R_alloc"),
    (Language::C, "RC4_set_key", "RC4_set_key"),
    (Language::C, "_Rx", "_Rx"),
    (Language::C, "_Dynamic", "_Dynamic"),
    (Language::C, "_D3DXCreate", "_D3DXCreate"),
    (Language::C, "malloc@@GLIBC_2.2.5", "malloc"),
    (Language::C, "memcpy@GLIBC_2.14", "memcpy"),
    (Language::C, "__libc_dlopen@GLIBC_PRIVATE", "__libc_dlopen"),
    (Language::C, "Foo$$Bar@plt", "Foo$$Bar@plt"),
    (Language::C, "grow.constprop.0.isra.1", "grow"),
    (Language::C, "grow.cold", "grow"),
    (Language::C, "module.name", "module.name"),
];

#[test]
fn each_language_has_its_own_rules() {
    let rust = RUST.iter().map(|(symbol, short)| (Language::Rust, *symbol, *short));
    let cpp = CPP.iter().map(|(symbol, short)| (Language::Cpp, *symbol, *short));
    let mut wrong = Vec::new();
    for (language, symbol, short) in rust.chain(cpp).chain(OTHERS.iter().copied()) {
        // A lone `main` needs its language from elsewhere.
        let beside = if symbol == "main" { Some(Language::Rust) } else { None };
        let words = Words::of(symbol, beside);
        if (words.language, &*words.short) != (language, short) {
            wrong.push(format!("{symbol}\n    {:?} {}", words.language, words.short));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_beside_a_name_decides_where_the_name_does_not() {
    let cases = [
        ("server::main", None, Language::Rust),
        ("server::main", Some(Language::Cpp), Language::Cpp),
        ("server::main(int)", Some(Language::Rust), Language::Cpp),
        ("<server::cache::Cache>::insert", Some(Language::Cpp), Language::Rust),
        ("(anonymous namespace)::f", Some(Language::Rust), Language::Cpp),
        ("app.cache.insert", Some(Language::D), Language::D),
        ("github.com/x/y.(*Cache).Insert", Some(Language::D), Language::Go),
        ("main", Some(Language::Rust), Language::Rust),
        ("main", None, Language::C),
        ("__cxxabiv1::@foo", None, Language::Cpp),
        ("thread<main()::<lambda()> >", Some(Language::Cpp), Language::Cpp),
        ("app::run()::<lambda(int)>::operator()(int)", None, Language::Cpp),
        ("<lambda(int)>::operator()", Some(Language::Cpp), Language::Cpp),
    ];
    for (symbol, beside, language) in cases {
        assert_eq!(Words::of(symbol, beside).language, language, "{symbol} {beside:?}");
    }
}

#[test]
fn names_without_end_are_read_to_their_end() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("{}{}{}", open.repeat(times), "h", close.repeat(times))
    };
    for times in [10, 90, 499, 600, 20_000] {
        let v0 = deep("INtCs1_3app1A", "E", times);
        let rust = |method: &str| format!("_RNvXCs1_3app{v0}NtCs1_3app7Service{method}");
        let cpp =
            |method: &str| format!("_ZN3app5StoreI{}E{method}Ev", deep("N3app1AI", "EE", times));
        let text = |method: &str| format!("<{} as app::T>::{method}", deep("app::A<", ">", times));
        let cases = [
            (rust("4call"), rust("5cache"), "A::call"),
            (cpp("4call"), cpp("5cache"), "Store::call"),
            (text("call"), text("cache"), "A::call"),
        ];
        for (one, other, short) in cases {
            let (one, other) = (Name::of(&one, None), Name::of(&other, None));
            assert_eq!(one.short, short, "{times}");
            assert_ne!(one.full, other.full, "{times}");
            assert!(one.full.chars().count() <= 4096 + 64, "{times}");
        }
    }
    // Doubling at each step: what would be written is as long as a million such names.
    let mut doubling = String::from("_RNvXC3appINtB2_1MhE");
    for _ in 0..3 {
        doubling = doubling.replace("hE", "hhE");
    }
    let _ = Name::of(&doubling, None);
}

/// Whether each bracket has its other half; angle brackets may be arrows and operators.
fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "::",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        " ",
        "a",
        "Foo",
        "ns",
        "std",
        "operator",
        "operator()",
        "operator<<",
        "operator ",
        "{closure#0}",
        "{{closure}}",
        "{lambda(int)#1}",
        "(anonymous namespace)",
        " as ",
        "<impl ",
        " for ",
        "&",
        "*",
        "'",
        "\"",
        "dyn ",
        ",",
        ";",
        "->",
        "~",
        "@",
        "@@V_1",
        "@safe ",
        ".",
        "!",
        "_Z",
        "_ZN",
        "_R",
        "_D",
        "_RNv",
        "3foo",
        "E",
        "I",
        "S_",
        "17h0123456789abcdefE",
        "-[",
        "`",
        "#",
        "é",
        "\u{202e}",
        "0",
        "9",
        "[abi:x]",
        "decltype(",
        " const",
        "for<'a> ",
        "__T",
        "Q",
        "Z",
        "B_",
        "$LT$",
        "::h0123456789abcdef",
    ]);
    prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

fn check(text: &str) {
    for beside in [None, Some(Language::Rust), Some(Language::Cpp), Some(Language::D)] {
        let name = Name::of(text, beside);
        assert_eq!(text.is_empty(), name.full.is_empty());
        assert_eq!(text.is_empty(), name.short.is_empty());
        assert!(!is_balanced(text) || is_balanced(&name.short), "{text:?} -> {:?}", name.short);
        assert!(name.full.chars().count() <= 4096 + 64);
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_pieces_have_a_name(text in pieces()) {
        check(&text);
    }

    #[test]
    fn any_text_has_a_name(text in "\\PC{0,60}") {
        check(&text);
    }

}

proptest! {
    #![proptest_config(cases(200))]

    /// Names that are alike but for one place, which may be where they are cut.
    #[test]
    fn two_names_are_stored_as_two(
        length in 1..9_000_usize, at in 0..9_000_usize, unsafe_ in prop::bool::ANY,
    ) {
        let one = "abc::".repeat(length / 5 + 1);
        let at = at % one.len();
        let put = if unsafe_ { "\u{202e}" } else { "X" };
        let other = format!("{}{put}{}", &one[..at], &one[at..]);
        let third = format!("{}\u{fffd}{}", &one[..at], &one[at..]);
        let [one, other, third] = [one, other, third].map(|text| Name::of(&text, None).full);
        assert!(one != other && other != third && one != third);
        // Nor is one that looks as if it had been cut.
        assert_ne!(Name::of(&one, None).full, other);
    }
}
