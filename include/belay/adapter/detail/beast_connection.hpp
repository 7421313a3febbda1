// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/beast_connection.hpp
/// BeastConnection: a WebSocket connection, as whoever opened it holds it.
#pragma once

#include <memory>   // std::shared_ptr
#include <utility>  // std::move

#include <belay/adapter/detail/beast_stream.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One connection, dialled or accepted. Its end closes the socket, and calls nobody.
template <class Stream>
class BeastConnection {
public:
    /// `wire` is nullptr where there never was a stream, and its link has been told so.
    explicit BeastConnection(std::shared_ptr<BeastStream<Stream>> wire) noexcept
        : wire_{std::move(wire)} {}
    BeastConnection(const BeastConnection&) = delete;
    BeastConnection& operator=(const BeastConnection&) = delete;
    ~BeastConnection() {
        if (wire_) wire_->abandon();
    }

    /// Errors: busy, and then Link::writable follows once; refused: no UTF-8, where text is sent;
    /// down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        return wire_ ? wire_->send(message) : SendResult::down;
    }
    /// A control frame, which the peer answers by Link::pong.
    void ping() noexcept {
        if (wire_) wire_->ping();
    }
    void limit_messages(std::size_t bytes) noexcept {
        if (wire_) wire_->limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept {
        if (wire_) wire_->limit_output(bytes);
    }
    void resume_reading() noexcept {
        if (wire_) wire_->resume_reading();
    }
    /// Writes what waits, sends a close frame, and reports Link::closed when the peer has answered
    /// it.
    void close(const Failure& why) noexcept {
        if (wire_) wire_->close(why);
    }

private:
    std::shared_ptr<BeastStream<Stream>> wire_;
};

}}}  // namespace belay::detail
