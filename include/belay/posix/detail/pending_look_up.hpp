// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/pending_look_up.hpp
/// PendingLookUp: the look-up with which an attempt begins.
#pragma once

#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::make_error_code

#include <belay/link/detail/link_wake.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

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
    belay::detail::AskingByLink<LookUpBegun, M> begun_;
    belay::detail::AskingByLink<HostAddresses, M> done_;
};

}}}  // namespace belay::posix::detail
