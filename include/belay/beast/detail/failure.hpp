// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/failure.hpp
/// BeastFailure: maps the errors of asio and Beast to failures of a WebSocket connection.
#pragma once

#include <string_view>  // std::string_view
#include <utility>      // std::exchange; before asio, which in Boost 1.74 uses it without

#include <boost/beast/http/error.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/zlib/error.hpp>

#include <belay/asio/boost.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Failures by the stage in which the error occurred.
struct BeastFailure {
    using Asio = AsioOf<boost::asio::io_context>;
    using Error = Asio::Error;

    [[nodiscard]] static Failure garbage() noexcept {
        return Failure::from(std::make_error_code(std::errc::protocol_error));
    }
    [[nodiscard]] static Failure of_dial(const Error& error) noexcept {
        return socket_failure(Asio::standard(error), Cause::refused);
    }
    [[nodiscard]] static Failure of_handshake(const Error& error) noexcept {
        namespace http = boost::beast::http;
        const bool ended = error == http::error::end_of_stream ||
                           error == http::error::partial_message || Asio::ended(error);
        if (ended) return failure_of(LinkErrc::closed_by_peer);
        return with_protocol(error);
    }
    /// An error of an open connection that did not end by a close frame.
    [[nodiscard]] static Failure of_stream(const Error& error) noexcept {
        const bool of_system = error.category() == boost::asio::error::get_system_category();
        // The stream ended without a close frame. The layers below have different errors for that.
        if (!of_system && !is_of_beast(error)) return websocket_failure(1006);
        return with_protocol(error);
    }
    /// The failure of a close frame, as `classify` decides; see beast::WebSocketOptions.
    template <class Classify>
    [[nodiscard]] static Failure of_close_frame(const boost::beast::websocket::close_reason& reason,
                                                const Classify& classify) noexcept {
        const int code = reason.code == 0 ? 1005 : static_cast<int>(reason.code);
        const Failure usual = websocket_failure(code);
        if (!classify) return usual;
        // An exception would leave the run of the context, and the connection would never end.
        try {
            const Failure failure =
                classify(code, std::string_view{reason.reason.data(), reason.reason.size()});
            return failure.cause == Cause::none ? usual : failure;
        } catch (...) {
            return usual;
        }
    }
    [[nodiscard]] static constexpr bool is_sendable(int code) noexcept {
        return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
               (code >= 3000 && code <= 4999);
    }

private:
    [[nodiscard]] static Failure with_protocol(const Error& error) noexcept {
        Failure failure = socket_failure(Asio::standard(error), Cause::lost);
        if (is_of_beast(error)) failure.cause = Cause::protocol;
        return failure;
    }
    [[nodiscard]] static bool is_of_beast(const Error& error) noexcept {
        namespace beast = boost::beast;
        return error.category() == make_error_code(beast::http::error::bad_version).category() ||
               error.category() == make_error_code(beast::zlib::error::stream_error).category() ||
               error.category() == make_error_code(beast::websocket::error::closed).category();
    }
};

}}}  // namespace belay::detail
