// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver.hpp
/// posix::Resolver: looks names up beside the loop, so that a slow name server stops nothing.
#pragma once

#include <belay/posix/detail/basic_resolver.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Looks up names for any number of posix::Tcp, by getaddrinfo(3), on threads of its own.
///
///     posix::Resolver resolver;
///     Supervisor link{posix::Tcp{loop, resolver, {"example.org", 9000}}, policy};
///
/// A name is looked up by one thread at a time, for all who ask for it meanwhile; at most
/// `threads_max` names at once, so a name that hangs holds up the others only when so many hang.
/// Nothing is kept: each attempt asks anew. Beyond `waiting_max` questions, those that nobody waits
/// for any more make room; then an attempt fails with Cause::overloaded.
///
/// Its end is immediate: attempts that wait for it fail (ECANCELED). A thread that is then still in
/// the system's resolver is left to end by itself, and touches nothing but its own memory and its
/// code, which must stay loaded.
///
/// Thread safety: any thread, and any number of loops.   Allocates: a list entry for each name.
class Resolver final : public detail::BasicResolver {
public:
    /// Pre: the limits are > 0.   Throws: std::bad_alloc.
    explicit Resolver(const ResolverOptions& options = {})
        : BasicResolver{options, &detail::look_up_by_system} {}
};

}}}  // namespace belay::posix
