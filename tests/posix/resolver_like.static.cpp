// SPDX-License-Identifier: MIT
// Goal: the smallest resolvers satisfy ResolverLike, with and without a queue. One that blocks or
// omits the completion does not. A ResolverRef calls either.
#include <belay/posix/resolver_like.hpp>

#include <concepts>

#include <belay/posix/resolver.hpp>

namespace {

using namespace belay;
using posix::HostAddresses;
using posix::LookUpBegun;
using posix::ResolverLike;
using posix::ResolverRef;

struct Smallest {
    void look_up(const std::string&, Completion<HostAddresses>) {}
};
struct WithQueue {
    void look_up(const std::string&, Completion<HostAddresses>, Completion<LookUpBegun>) const {}
};
struct Blocking {
    HostAddresses look_up(const std::string&) { return {}; }
};
struct ReturnsAtOnce {
    HostAddresses look_up(const std::string&, Completion<HostAddresses>) { return {}; }
};

static_assert(ResolverLike<Smallest> && explain::resolver_like<Smallest>());
static_assert(ResolverLike<WithQueue> && ResolverLike<const WithQueue>);
static_assert(ResolverLike<posix::Resolver> && ResolverLike<ResolverRef>);
static_assert(!ResolverLike<Blocking> && !ResolverLike<ReturnsAtOnce>);
static_assert(!ResolverLike<const Smallest> && !ResolverLike<posix::ResolverOptions>);
static_assert(std::convertible_to<Smallest&, ResolverRef>);
static_assert(std::convertible_to<const WithQueue&, ResolverRef>);
static_assert(!std::convertible_to<Blocking&, ResolverRef>);
constexpr WithQueue constant{};
constexpr ResolverRef refers{constant};
static_assert(refers && !ResolverRef{} && sizeof(ResolverRef) == 2 * sizeof(void*));

}  // namespace
