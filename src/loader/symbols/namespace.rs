//! The owner of a C++ function, by its outermost namespace, otherwise by its header.
//!
//! Templates are compiled into whatever uses them, so the module does not say that a function is
//! the standard library's. What debug information calls by its bare name (`make_shared<ns::A>`) has
//! its header only.

use crate::loader::symbols::language::cpp;

/// The owner of the code in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The language's own library.
    Standard,
    /// Libraries that stand between a program and the standard one.
    Foundation,
    /// Anybody's.
    Other,
}

/// Namespaces that the standard libraries of GCC and clang reserve for themselves.
const STANDARD: [&str; 3] = ["std", "__cxxabiv1", "__gnu_"];

/// Libraries whose containers and formatters stand in for the standard ones.
const FOUNDATION: [&str; 4] = ["boost", "absl", "fmt", "folly"];

/// The owner of a function, given its whole demangled name.
pub(crate) fn owner(whole: &str) -> Owner {
    let scopes = cpp::scopes(whole);
    let Some(root) = scopes.first() else { return Owner::Other };
    let is_of = |name: &&&str| root == **name || name.ends_with('_') && root.starts_with(**name);
    let allocates = root.starts_with("operator new") || root.starts_with("operator delete");
    match scopes.len() {
        1 if allocates => Owner::Standard,
        1 => Owner::Other,
        _ if STANDARD.iter().any(|name| is_of(&name)) => Owner::Standard,
        _ if FOUNDATION.contains(&&**root) => Owner::Foundation,
        _ => Owner::Other,
    }
}

/// The owner of the code in a header.
pub(crate) fn owner_of_file(file: &str) -> Owner {
    let is_below = |folder: &str| file.contains(&format!("/include/{folder}/"));
    if is_below("c++") || file.contains("/libstdc++-v3/") || file.contains("/libcxx/") {
        Owner::Standard
    } else if FOUNDATION.iter().any(|name| is_below(name)) {
        Owner::Foundation
    } else {
        Owner::Other
    }
}

#[cfg(test)]
mod tests {
    use crate::loader::symbols::namespace::{Owner, owner, owner_of_file};

    #[test]
    fn the_outermost_namespace_of_the_function_itself_counts() {
        let cases = [
            ("std::__new_allocator<int>::allocate(unsigned long, void const*)", Owner::Standard),
            ("std::function<void (int)>::operator()(int) const", Owner::Standard),
            ("void std::vector<ns::Key, A>::_M_realloc_insert<ns::Key>(I)", Owner::Standard),
            ("std::__1::vector<int>::push_back(int&&)", Owner::Standard),
            ("__gnu_cxx::__ops::_Iter_less_iter::operator()(int*, int*) const", Owner::Standard),
            ("__cxxabiv1::__cxa_allocate_exception", Owner::Standard),
            ("operator new(unsigned long)", Owner::Standard),
            ("boost::container::vector<int>::insert(int)", Owner::Foundation),
            ("std::ostream& operator<< <int>(std::ostream&, ns::Matrix<int> const&)", Owner::Other),
            ("std::string ns::name(int)", Owner::Other),
            ("ns::Pool::operator new(unsigned long)", Owner::Other),
            ("stdx::vector::push(int)", Owner::Other),
            ("main::{lambda(std::string)#1}::operator()(std::string) const", Owner::Other),
            ("std(int)", Owner::Other),
            ("", Owner::Other),
        ];
        for (whole, expected) in cases {
            assert_eq!(owner(whole), expected, "{whole}");
        }
        let files = [
            ("/usr/include/c++/12/bits/std_thread.h", Owner::Standard),
            ("/usr/lib/llvm/include/c++/v1/vector", Owner::Standard),
            ("../../../../src/libstdc++-v3/src/c++11/string-inst.cc", Owner::Standard),
            ("/usr/include/boost/container/vector.hpp", Owner::Foundation),
            ("/home/me/c++/main.cc", Owner::Other),
            ("/usr/include/app/store.h", Owner::Other),
        ];
        for (file, expected) in files {
            assert_eq!(owner_of_file(file), expected, "{file}");
        }
    }
}
