// SPDX-License-Identifier: MIT
/// \file belay/adapter/boost_asio.hpp
/// Lets AsioLoop and AsioTcp use Boost.Asio; needs Boost 1.74 or later.
#pragma once

#include <string>       // std::string
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <belay/adapter/detail/asio_of.hpp>
#include <belay/core/cause.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <>
struct AsioOf<boost::asio::io_context> {
    using Context = boost::asio::io_context;
    using Timer = boost::asio::steady_timer;
    using Tcp = boost::asio::ip::tcp;
#if !defined(_WIN32)
    using Local = boost::asio::local::stream_protocol;
#endif
    using Error = boost::system::error_code;

    template <class F>
    static void post(Context& context, F&& f) {
        boost::asio::post(context, std::decay_t<F>(std::forward<F>(f)));
    }
    template <class Bytes>
    [[nodiscard]] static auto buffer(Bytes bytes) noexcept {
        return boost::asio::buffer(bytes.data(), bytes.size());
    }

    [[nodiscard]] static auto address(const std::string& text, Error& error) {
        return boost::asio::ip::make_address(text, error);
    }
    [[nodiscard]] static bool ended(const Error& e) noexcept {
        return e == boost::asio::error::eof;
    }
    [[nodiscard]] static bool would_block(const Error& e) noexcept {
        return e == boost::asio::error::would_block || e == boost::asio::error::try_again;
    }
    /// Returns whether a name was not resolved; an unknown name may be known later.
    [[nodiscard]] static bool unresolved(const Error& e) noexcept {
        return e.category() == boost::asio::error::get_netdb_category() ||
               e.category() == boost::asio::error::get_addrinfo_category();
    }
    /// Returns an error of the system in the category of the standard library. The conditions of
    /// asio's own category cover only a few errors.
    [[nodiscard]] static std::error_code standard(const Error& e) noexcept {
        if (e.category() == boost::asio::error::get_system_category()) {
            return {e.value(), std::system_category()};
        }
        return e;
    }
};

}}}  // namespace belay::detail
