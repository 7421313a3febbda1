// SPDX-License-Identifier: MIT
/// \file belay/sim/accepted.hpp
/// sim::Accepted: the side of a simulated connection that was dialled.
#pragma once

#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/link/transport_like.hpp>
#include <belay/sim/detail/channel.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

class Accepted;
class Tcp;

namespace detail {

/// One end of a simulated connection, which a process owns.
///
/// Messages arrive whole, in order and once, until the connection ends. `send` returns `busy` when
/// the window is full (Network::window_bytes); writable follows when half of it is free. The peer's
/// process answers a ping, so a frozen one does not answer. While a long message is carried slowly,
/// Link::pong(false) and Link::written are reported, as by a stream of bytes.
///
/// `close` ends the connection gracefully after what was sent, and Link::closed follows when the
/// peer has closed it, too. The destructor aborts the connection. Small messages of the same
/// instant are then not sent, as with posix::Tcp.
///
/// A message longer than the limit of limit_messages() ends the connection, at both ends.
///
/// Models:        ConnectionLike, with close, ping, resume_reading, limit_messages and
///                limit_output.
/// Thread safety: the world's thread.
class Connection {
public:
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
        if (channel_) channel_->abort(side_);
    }

    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        return channel_ ? channel_->send(side_, message) : SendResult::down;
    }
    void close(const Failure&) noexcept {
        if (channel_) channel_->close(side_);
    }
    void ping() noexcept {
        if (channel_) channel_->ping(side_);
    }
    void resume_reading() noexcept {
        if (channel_) channel_->resume_reading(side_);
    }
    void limit_messages(std::size_t bytes) noexcept {
        if (channel_) channel_->limit_messages(side_, bytes);
    }
    void limit_output(std::size_t bytes) noexcept {
        if (channel_) channel_->limit_output(side_, bytes);
    }

private:
    friend class sim::Accepted;
    friend class sim::Tcp;
    Connection(belay::detail::Ref<Channel> channel, int side, const Link<Bytes>& link)
        : channel_{std::move(channel)}, side_{side} {
        if (channel_) channel_->attach(side_, link);
    }

    belay::detail::Ref<Channel> channel_;
    int side_;
};

}  // namespace detail

/// A connection that a listening host has accepted: a transport for one attempt.
///
/// The first open() takes the connection, which is open already; then everything follows that has
/// arrived meanwhile. Every later open() is closed at once, permanently. If open() was never
/// called, the destructor aborts the connection.
///
/// Models:        TransportLike.
/// Thread safety: the world's thread.
class Accepted {
public:
    using message_type = Bytes;

    explicit Accepted(belay::detail::Ref<detail::Channel> channel) noexcept
        : channel_{std::move(channel)} {}
    Accepted(Accepted&&) noexcept = default;
    Accepted& operator=(Accepted&&) = delete;
    ~Accepted() {
        if (channel_) channel_->abort(side);
    }

    [[nodiscard]] detail::Connection open(const Link<Bytes>& link) {
        if (!channel_) link.closed(Failure{.cause = Cause::permanent});
        return detail::Connection{std::exchange(channel_, {}), side, link};
    }

    /// Returns the name of the host that has dialled.   Pre: not opened yet.
    [[nodiscard]] std::string_view peer() const noexcept {
        BELAY_PRECONDITION(static_cast<bool>(channel_),
                           "Accepted::peer: the connection must not be opened yet");
        return channel_->end(0).station->name;
    }

private:
    static constexpr int side = 1;
    belay::detail::Ref<detail::Channel> channel_;
};

}}}  // namespace belay::sim
