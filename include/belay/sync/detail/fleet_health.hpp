// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/fleet_health.hpp
/// FleetHealth: whether a fleet permits a bridge to call its remote; RemoteCalls: that permission,
/// as the connection of a service.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::exchange, std::move

#include <belay/fleet/detail/scheduled_transport.hpp>
#include <belay/sync/detail/remote_health.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// No message: a bridge calls its remote, and sends nothing over a connection.
struct NoBridgeMessage {};

/// The state of the remote of a bridge that is a service of a fleet. In place of RemoteHealth, it
/// permits calls:
/// - none without a connection;
/// - one at a time while the connection opens, which is a dial;
/// - all of them when that call was answered.
///
/// The first attempt that fails as a lost connection does, ends the connection, and so does a call
/// that the policy of the calls gives up. The supervisor of the connection decides when the next
/// one opens.
class FleetHealth {
public:
    using Kind = Connectivity::Kind;
    static constexpr bool in_fleet = true;

    /// The permission to call, for one connection.
    class Permission {
    public:
        Permission(FleetHealth& health, const Link<NoBridgeMessage>& link) noexcept
            : health_{health}, link_{link} {
            health_.permission_ = this;
            health_.state_ = State::dials;
        }
        Permission(const Permission&) = delete;
        Permission& operator=(const Permission&) = delete;
        ~Permission() { health_.end(*this); }

        [[nodiscard]] static SendResult send(const NoBridgeMessage&) noexcept {
            return SendResult::rejected;
        }

    private:
        friend class FleetHealth;
        FleetHealth& health_;
        Link<NoBridgeMessage> link_;
    };

    explicit FleetHealth(ServiceEntry& entry) noexcept : entry_{&entry} {}

    // ---- for the engine ------------------------------------------------------------------------

    void start(Instant now) noexcept {
        if (view_.since == never) view_.since = now;
    }
    /// Returns: false, because the view follows the connection.   Throws: std::bad_alloc.
    bool answered(bool at_once, Turn& turn) {
        answered_at_ = turn.now;
        if (!at_once) entry_->scheduler->prove(*entry_, turn.now);
        if (state_ == State::dials) {
            permission_->link_.opened();
            state_ = State::open;
        }
        return false;
    }
    /// Returns: whether the call ends now, because the connection is lost.
    [[nodiscard]] bool attempt_failed(const AttemptEnd& end, Instant now) noexcept {
        // Others were answered meanwhile: this call is slow, and not the remote.
        if (may_be_network(end.failure)) return answered_at_ <= end.asked_at;
        if (!end.at_once && is_answer(end.failure)) entry_->scheduler->prove(*entry_, now);
        return false;
    }
    /// A call was lost or given up because of the remote.
    void failed(const Failure& failure, bool at_once, Turn&) noexcept {
        if (std::exchange(state_, State::none) == State::none) return;
        lost_ = true;
        // A failure of this process must not count as the answer of a peer.
        if (at_once && is_answer(failure)) {
            local_failure_ = failure;
        } else {
            permission_->link_.closed(failure);
        }
    }
    /// The bridge has ended.
    void end(Instant now) noexcept {
        ended_ = true;
        view_ = {Kind::disconnected, now, {Cause::planned}, 0};
    }

    [[nodiscard]] bool away() const noexcept { return state_ != State::open; }
    [[nodiscard]] bool gone() const noexcept {
        return state_ == State::none && view_.reason.cause != Cause::none;
    }
    [[nodiscard]] bool dials() const noexcept { return state_ == State::dials; }
    [[nodiscard]] Instant retry_at() const noexcept { return dials() ? always : never; }
    [[nodiscard]] const Connectivity& view() const noexcept { return view_; }
    /// Returns whether the permission has ended since it was called last.
    [[nodiscard]] bool take_lost() noexcept { return std::exchange(lost_, false); }

    // ---- for the service -----------------------------------------------------------------------

    /// The connection has changed its state.   Returns: whether the view has changed.
    bool moved(const LinkStatus& status) noexcept {
        if (ended_) return false;
        const Connectivity before = std::exchange(view_, connectivity(status));
        return before.kind != view_.kind ||
               (view_.kind == Kind::reconnecting && before.attempt != view_.attempt);
    }
    /// Returns the failure that ends the connection without any answer of a peer, once.
    [[nodiscard]] std::optional<Failure> take_local_failure() noexcept {
        return std::exchange(local_failure_, std::nullopt);
    }
    [[nodiscard]] bool has_local_failure() const noexcept { return local_failure_.has_value(); }

private:
    enum class State : std::uint8_t { none, dials, open };

    void end(const Permission& permission) noexcept {
        if (permission_ != &permission) return;
        permission_ = nullptr;
        lost_ = lost_ || state_ != State::none;
        state_ = State::none;
        local_failure_.reset();
    }

    ServiceEntry* entry_;
    Permission* permission_ = nullptr;
    Connectivity view_{};
    Instant answered_at_ = always;
    std::optional<Failure> local_failure_{};
    State state_ = State::none;
    bool lost_ = false;
    bool ended_ = false;
};

/// The transport of a bridge's remote, for the supervisor of a service: its connections are
/// permissions to call.
///
/// Models: TransportLike.
template <class Remote>
class RemoteCalls {
public:
    using message_type = NoBridgeMessage;

    RemoteCalls(FleetHealth& health, Remote& remote) noexcept
        : health_{&health}, remote_{&remote} {}
    [[nodiscard]] FleetHealth::Permission open(const Link<NoBridgeMessage>& link) noexcept {
        return {*health_, link};
    }
    /// Returns the remote. Its endpoint(), if it has one, may be on this machine.
    [[nodiscard]] Remote& inner() noexcept { return *remote_; }

private:
    FleetHealth* health_;
    Remote* remote_;
};

}}}  // namespace belay::detail
