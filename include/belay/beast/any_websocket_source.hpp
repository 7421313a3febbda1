// SPDX-License-Identifier: MIT
/// \file belay/beast/any_websocket_source.hpp
/// The definition of beast::AnyWebSocket: exactly one source file of a program includes it.
#pragma once

#include <belay/beast/any_websocket.hpp>
#include <belay/beast/websocket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A WebSocket that hides its type.
class AnyDiallerOf final : public AnyDialler {
public:
    AnyDiallerOf(boost::asio::io_context& context, posix::Endpoint server,
                 beast::WebSocketOptions options)
        : socket_{context, std::move(server), std::move(options)} {}

    BeastConnection<AnyDialled> open(const Link<Bytes>& link, const posix::Endpoint* server,
                                     const std::string* token) override {
        if (server == nullptr) {
            return token != nullptr ? socket_.open(link, *token) : socket_.open(link);
        }
        return token != nullptr ? socket_.open(link, *server, *token) : socket_.open(link, *server);
    }
    std::string_view dial_report() const noexcept override { return socket_.dial_report(); }

private:
    beast::WebSocket<> socket_;
};

// Not inline: a second source file that includes this is an error of the linker.
std::unique_ptr<AnyDialler> any_websocket_source_hpp_must_be_included_by_exactly_one_file(
    boost::asio::io_context& context, posix::Endpoint server, beast::WebSocketOptions options) {
    return std::make_unique<AnyDiallerOf>(context, std::move(server), std::move(options));
}

}}}  // namespace belay::detail
