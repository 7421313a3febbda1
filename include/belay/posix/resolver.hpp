// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver.hpp
/// posix::Resolver: looks names up on threads of its own, so that a slow name server blocks no
/// loop.
#pragma once

#include <belay/posix/detail/basic_resolver.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Looks up names for any number of posix::Tcp, by getaddrinfo(3), on threads of its own.
///
///     posix::Resolver resolver;
///     Supervisor link{posix::Tcp{loop, resolver, {"example.org", 9000}}, policy};
///
/// Each name is looked up by one thread at a time, for all requests that wait for it. At most
/// `threads_max` names are looked up at once. A look-up that takes 2 s hangs. Names whose last
/// look-up hung go last, and may use all threads except two. New names may use all except one. So a
/// name that has answered before begins at once, however many names hang, and a new name does if
/// those that hang were looked up before. It remembers the last 1024 names.
///
/// The resolver caches nothing: each attempt looks the name up anew. When `waiting_max` requests
/// wait, the next one first removes those whose result is no longer wanted. If that frees no place,
/// its attempt fails with Cause::overloaded.
///
/// Destroying it takes effect at once: attempts that wait for it fail (ECANCELED). A thread that is
/// still in the system's resolver then ends by itself later. It uses only its own memory and its
/// code, which must stay loaded.
///
/// Thread safety: any thread, and any number of loops.   Allocates: a list entry for each name.
class Resolver final : public detail::BasicResolver {
public:
    /// Constructs a resolver with these limits.
    ///
    /// Pre: the limits are > 0.   Throws: std::bad_alloc.
    explicit Resolver(const ResolverOptions& options = {})
        : BasicResolver{options, &detail::look_up_by_system} {}
};

}}}  // namespace belay::posix
