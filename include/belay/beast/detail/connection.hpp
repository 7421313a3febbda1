// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/connection.hpp
/// BeastConnection: the handle of a WebSocket connection for the code that opened it.
#pragma once

#include <memory>   // std::shared_ptr
#include <utility>  // std::move

#include <belay/beast/detail/stream.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One connection, dialled or accepted. Its destructor closes the socket without a callback.
template <class Stream, class Impl = BeastStream<Stream>>
class BeastConnection {
    static constexpr bool dials = requires(Impl& impl) { impl.advance(Instant{}); };

public:
    /// `impl` is null if there was no stream. Its link has been notified in that case.
    explicit BeastConnection(std::shared_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
    BeastConnection(const BeastConnection&) = delete;
    BeastConnection& operator=(const BeastConnection&) = delete;
    ~BeastConnection() {
        if (impl_) impl_->abandon();
    }

    /// Sends `message`.
    ///
    /// Errors: busy, after which Link::writable follows once; rejected if text frames are sent and
    /// `message` is not UTF-8; down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        return impl_ ? impl_->send(message) : SendResult::down;
    }
    /// Sends a ping frame. The peer's answer is reported by Link::pong.
    void ping() noexcept {
        if (impl_) impl_->ping();
    }
    void limit_messages(std::size_t bytes) noexcept {
        if (impl_) impl_->limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept {
        if (impl_) impl_->limit_output(bytes);
    }
    void resume_reading() noexcept {
        if (impl_) impl_->resume_reading();
    }
    [[nodiscard]] Instant deadline() const noexcept
        requires dials
    {
        return impl_->deadline();
    }
    /// Continues the dial of a name.
    void advance(Turn& turn)
        requires dials
    {
        impl_->advance(turn.now);
    }
    /// Writes the queued messages, sends a close frame, and reports Link::closed when the peer has
    /// answered it.
    void close(const Failure& why) noexcept {
        if (impl_) impl_->close(why);
    }

private:
    std::shared_ptr<Impl> impl_;
};

}}}  // namespace belay::detail
