// SPDX-License-Identifier: MIT
/// \file belay/beast/any_listener_source.hpp
/// The definition of beast::AnyListener: exactly one source file of a program includes it.
#pragma once

#include <belay/beast/any_listener.hpp>
#include <belay/beast/listener.hpp>

// The program is compiled with this macro of Boost, so that asio, too, is compiled once. A program
// that has the code of asio in another file defines the second macro.
#if defined(BOOST_ASIO_SEPARATE_COMPILATION) && !defined(BELAY_WITHOUT_ASIO_SOURCE)
#    include <boost/asio/impl/src.hpp>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct AnyListenerObserver {
    std::function<void(const beast::RejectedUpgrade&)> f;
    void on_rejected(const beast::RejectedUpgrade& what) { f(what); }
};

// Not inline: a second source file that includes this is an error of the linker.
std::shared_ptr<AnyAcceptor> any_listener_source_hpp_must_be_included_by_exactly_one_file(
    AsioLoop<boost::asio::io_context>& loop, beast::ListenerOptions options,
    AnyAcceptorCalls calls) {
    using Stream = boost::beast::tcp_stream;
    using Acceptor = BeastAcceptor<std::function<void(beast::AnyAccepted)>, beast::Accepted<Stream>,
                                   Stream, AnyListenerObserver, ListenerHooks>;
    return std::make_shared<Acceptor>(loop.context(), nullptr, std::move(calls.accept),
                                      std::move(options),
                                      AnyListenerObserver{std::move(calls.rejected)});
}

}}}  // namespace belay::detail
