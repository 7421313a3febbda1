// SPDX-License-Identifier: MIT
// DefaultMember: a type that a struct can have as a member without an initializer.
#pragma once

namespace belay_test {

template <class T>
struct WithMember {
    int number;
    T member;
};

/// Whether WithMember<T>{1} compiles. It does not if the default constructor of T is explicit.
template <class T>
concept DefaultMember = requires { WithMember<T>{1}; };

}  // namespace belay_test
