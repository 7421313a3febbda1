// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/server_handshake.hpp
/// BeastServerHandshake: accepts a WebSocket connection.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include <belay/beast/detail/stream.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether the peer has closed the connection, as opposed to having broken the protocol.
template <class Stream>
[[nodiscard]] bool is_gone(const boost::system::error_code& error) noexcept {
    namespace asio = boost::asio;
    if constexpr (NeedsTls<Stream>) {
        if (BeastTls<Stream>::is_cut(error)) return true;
    }
    return error == asio::error::eof || error == asio::error::connection_reset ||
           error == asio::error::connection_aborted || error == asio::error::broken_pipe ||
           error == asio::error::not_connected ||
           error == boost::beast::http::error::end_of_stream ||
           error == boost::beast::http::error::partial_message;
}

/// Whether the kernel has seen the peer close the connection.
template <class Socket>
[[nodiscard]] bool has_hung_up(Socket& socket) noexcept {
    boost::system::error_code error;
    char byte = 0;
    socket.non_blocking(true, error);
    if (!error) {
        socket.receive(boost::asio::buffer(&byte, 1), Socket::message_peek, error);
    }
    return error && error != boost::asio::error::would_block &&
           error != boost::asio::error::try_again;
}

/// A connection of beast::Accepted, from the answer to its upgrade.
template <class Stream>
class BeastServerHandshake : public BeastStream<Stream> {
    using Parent = BeastStream<Stream>;
    using typename Parent::Error;
    using typename Parent::State;

public:
    using Request = boost::beast::http::request<boost::beast::http::empty_body>;

    BeastServerHandshake(boost::asio::io_context& context,
                         std::shared_ptr<const beast::WebSocketOptions> options,
                         const Link<Bytes>& link, Stream stream)
        : Parent{context, std::move(options), link, std::move(stream)} {}

    /// Answers the request.
    void answer(const Request& request, IpPermit permit) {
        namespace websocket = boost::beast::websocket;
        namespace http = boost::beast::http;
        this->permit_ = std::move(permit);
        if (has_hung_up(this->socket())) return give_way(failure_of(LinkErrc::closed_by_peer));
        this->ws_.set_option(websocket::stream_base::decorator(
            [protocol = this->options_->subprotocol](websocket::response_type& response) {
                response.set(http::field::server, "belay");
                if (!protocol.empty()) {
                    response.set(http::field::sec_websocket_protocol, protocol);
                }
            }));
        websocket::permessage_deflate deflate;
        deflate.server_enable = this->options_->deflate;
        this->configure(deflate);
        // A peer that does not read may block the answer, so its time is limited.
        this->close_timer_.expires_after(Parent::close_max);
        this->close_timer_.async_wait(Parent::on_of(*this, [](auto& self, const Error& e) {
            if (!e && self.state_ == State::connecting) {
                self.give_way(Failure::from(std::make_error_code(std::errc::timed_out)));
            }
        }));
        this->ws_.async_accept(
            request, Parent::on_of(*this, [](auto& self, const Error& e) { self.answered(e); }));
    }

private:
    void answered(const Error& error) {
        this->close_timer_.cancel();
        if (error) return give_way(BeastFailure::of_handshake(error));
        this->permit_.upgraded();
        this->begin();
    }
    void give_way(const Failure& why) noexcept {
        this->permit_.aborted();
        this->end(why);
    }
};

}}}  // namespace belay::detail
