// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_handle.hpp
/// BridgeHandle: where a bridge stands, and stop(), for other threads.
#pragma once

#include <utility>  // std::move

#include <belay/core/mailbox.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The one command of a bridge: stop.
struct BridgeCommand {
    [[nodiscard]] static constexpr bool is_message() noexcept { return false; }
    [[nodiscard]] static constexpr bool same_control(const BridgeCommand&) noexcept { return true; }
};

/// What a bridge and its handles share.
class BridgeBox : public driver::Mailbox<BridgeCommand> {
public:
    BridgeBox() noexcept : Mailbox{0} {}

    // Under the mailbox's lock.
    Connectivity view{};
    bool ended = false;
};

}  // namespace detail

/// Where a Bridge, Push or Pull stands, and stop(), which answers `gone` after its end.
///
/// Thread safety: any thread; distinct objects safe.
class BridgeHandle {
public:
    BridgeHandle() noexcept = default;
    explicit BridgeHandle(detail::Ref<detail::BridgeBox> box) noexcept : box_{std::move(box)} {}

    /// As of the bridge's last turn.   Blocks: for a few instructions.
    [[nodiscard]] Connectivity connectivity() const {
        return box_ ? box_->locked([this] { return box_->view; }) : Connectivity{};
    }
    /// Whether a stopped bridge is done with; true also if it is gone.
    [[nodiscard]] bool ended() const {
        return !box_ || box_->locked([this] { return box_->ended; });
    }
    /// See Bridge::stop.   Throws: std::bad_alloc.
    driver::Post stop() const { return box_ ? box_->post_control({}) : driver::Post::gone; }

private:
    detail::Ref<detail::BridgeBox> box_;
};

}}  // namespace belay
