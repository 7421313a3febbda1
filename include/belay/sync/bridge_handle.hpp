// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_handle.hpp
/// BridgeHandle: the state of a bridge, and stop(), for other threads.
#pragma once

#include <utility>  // std::move

#include <belay/core/mailbox.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The only command of a bridge: stop.
struct BridgeCommand {
    [[nodiscard]] static constexpr bool is_message() noexcept { return false; }
    [[nodiscard]] static constexpr bool same_control(const BridgeCommand&) noexcept { return true; }
};

/// The state that a bridge and its handles share.
class BridgeBox : public driver::Mailbox<BridgeCommand> {
public:
    BridgeBox() noexcept : Mailbox{0} {}

    // Guarded by the lock of the mailbox.
    Connectivity view{};
    bool ended = false;
};

}  // namespace detail

/// Gives other threads the state of a Bridge, Push or Pull, and stops it.
///
/// After the end of the bridge, stop() returns `gone`.
///
/// Thread safety: any thread; distinct objects safe.
class BridgeHandle {
public:
    BridgeHandle() noexcept = default;
    explicit BridgeHandle(detail::Ref<detail::BridgeBox> box) noexcept : box_{std::move(box)} {}

    /// Returns the connectivity as of the bridge's last turn.   Blocks: for a few instructions.
    [[nodiscard]] Connectivity connectivity() const {
        return box_ ? box_->locked([this] { return box_->view; }) : Connectivity{};
    }
    /// Returns whether a stopped bridge has ended; true also if the bridge is destroyed.
    [[nodiscard]] bool ended() const {
        return !box_ || box_->locked([this] { return box_->ended; });
    }
    /// Stops the bridge; see Bridge::stop.   Throws: std::bad_alloc.
    driver::Post stop() const { return box_ ? box_->post_control({}) : driver::Post::gone; }

private:
    detail::Ref<detail::BridgeBox> box_;
};

}}  // namespace belay
