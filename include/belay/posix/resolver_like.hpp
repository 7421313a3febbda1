// SPDX-License-Identifier: MIT
/// \file belay/posix/resolver_like.hpp
/// posix::ResolverLike: looks up the addresses of names; implement it to use your own resolver.
/// posix::ResolverRef: refers to a resolver of any type, or to none.
#pragma once

#include <concepts>      // std::same_as
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code, std::make_error_code
#include <type_traits>   // std::remove_const_t
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace posix {

/// The addresses of a host.   Thread safety: a plain value.
struct HostAddresses {
    /// Numeric addresses, in the order in which to try them: "192.0.2.1", "2001:db8::1",
    /// "fe80::1%2". Others are ignored.
    std::vector<std::string> addresses{};
    /// Why there are none.
    std::error_code error{};
};

/// The value of the completion that a resolver answers when a look-up begins.
struct LookUpBegun {};

namespace detail {
template <class R>
concept LooksUp = requires(R& r, const std::string& host, Completion<HostAddresses> done) {
    { r.look_up(host, std::move(done)) } -> std::same_as<void>;
};
template <class R>
concept QueuesLookUps = requires(R& r, const std::string& host, Completion<HostAddresses> done,
                                 Completion<LookUpBegun> begun) {
    { r.look_up(host, std::move(done), std::move(begun)) } -> std::same_as<void>;
};
}  // namespace detail

/// Looks up the addresses of names for transports.
///
/// One of:
/// - `look_up(const std::string& host, Completion<HostAddresses> done)`: completes `done` at once
///   or later, from any thread. Dropping it is the error ECANCELED. The call must not block. If
///   `done.wanted()` is false, the attempt is over.
/// - `look_up(host, done, Completion<LookUpBegun> begun)`, for a resolver with a queue: it answers
///   or drops `begun` when the look-up begins. The limit of the attempt runs from there, and
///   nothing that ends before counts against the peer.
///
/// It must outlive the transports that use it. It should not cache: each dial looks the name up
/// again, so that a peer that has moved is found.
///
/// Models: Resolver.
template <class R>
concept ResolverLike = detail::LooksUp<R> || detail::QueuesLookUps<R>;

}  // namespace posix

namespace explain {

/// Names every requirement of ResolverLike that R lacks.
template <class R>
consteval bool resolver_like() {
    static_assert(posix::ResolverLike<R>,
                  "ResolverLike: R needs 'void look_up(const std::string& host, "
                  "belay::Completion<belay::posix::HostAddresses> done)'; see "
                  "docs/reference/posix.md");
    return posix::ResolverLike<R>;
}

}  // namespace explain

namespace posix {

/// Refers to a resolver of any type, or to none.
///
/// Thread safety: a plain value; look_up() has that of the resolver.   Size: two pointers.
class ResolverRef {
public:
    constexpr ResolverRef() noexcept = default;
    template <ResolverLike R>
        requires(!std::same_as<std::remove_const_t<R>, ResolverRef>)
    constexpr ResolverRef(R& resolver) noexcept
        : resolver_{const_cast<std::remove_const_t<R>*>(&resolver)},
          look_up_{[](void* r, const std::string& host, Completion<HostAddresses> done,
                      Completion<LookUpBegun> begun) {
              if constexpr (detail::QueuesLookUps<R>) {
                  static_cast<R*>(r)->look_up(host, std::move(done), std::move(begun));
              } else {
                  begun({});
                  static_cast<R*>(r)->look_up(host, std::move(done));
              }
          }} {}

    [[nodiscard]] constexpr explicit operator bool() const noexcept { return resolver_ != nullptr; }
    /// Looks a name up.   Pre: it refers to a resolver.   Throws: what the resolver throws.
    void look_up(const std::string& host, Completion<HostAddresses> done,
                 Completion<LookUpBegun> begun) const {
        look_up_(resolver_, host, std::move(done), std::move(begun));
    }

private:
    void* resolver_ = nullptr;
    void (*look_up_)(void*, const std::string&, Completion<HostAddresses>,
                     Completion<LookUpBegun>) = nullptr;
};

}  // namespace posix

namespace posix::detail {

/// A look-up under way, whose attempt reports whether it waits in the queue of the resolver.
///
/// Thread safety: home thread of the link.
template <class M>
class PendingLookUp {
public:
    /// Throws: std::bad_alloc, and what the resolver throws.
    void begin(const Link<M>& link, ResolverRef resolver, const std::string& host) {
        Completion<HostAddresses> done = done_.ask(belay::detail::LinkWake<M>{link});
        resolver.look_up(host, std::move(done), begun_.ask(belay::detail::LinkWake<M>{link}));
        if (begun_.answered()) return begun_.drop();
        link.queued();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return belay::detail::smaller(begun_.deadline(), done_.deadline());
    }
    /// Returns the addresses, if the resolver has answered.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<HostAddresses> advance(const Link<M>& link) {
        if (begun_.answered()) {
            begun_.drop();
            link.begun();
        }
        if (!done_.answered()) return std::nullopt;
        std::optional<HostAddresses> found = done_.take();
        if (!found) found = {{}, std::make_error_code(std::errc::operation_canceled)};
        return found;
    }
    void drop() noexcept {
        begun_.drop();
        done_.drop();
    }

private:
    belay::detail::Asking<LookUpBegun, belay::detail::LinkWake<M>> begun_;
    belay::detail::Asking<HostAddresses, belay::detail::LinkWake<M>> done_;
};

}  // namespace posix::detail

}}  // namespace belay
