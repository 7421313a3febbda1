// SPDX-License-Identifier: MIT
/// \file belay/call/std_stop.hpp
/// StopBridge: lets a std::stop_token wake what waits with belay's StopToken. Not part of
/// belay.hpp.
#pragma once

#include <version>  // __cpp_lib_jthread
#if !defined(__cpp_lib_jthread)
#    error "call/std_stop.hpp: std::stop_token is missing; with libc++ use -fexperimental-library"
#endif

#include <stop_token>  // std::stop_token, std::stop_callback
#include <utility>     // std::move

#include <belay/core/stop_source.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Provides a StopToken that requests a stop when a std::stop_token does.
///
/// A std::stop_token is itself a StopTokenLike, but sleepers must check it every few milliseconds.
/// Through a bridge, it wakes them at once.
///
///     retry(policy, fn, StopBridge{thread_token}.token());
///
/// The token may outlive the bridge, but then it receives no more requests. A bridge cannot be
/// copied or moved.
/// Thread safety: distinct objects safe; `token` also on a shared one.
class StopBridge {
public:
    /// Throws: std::bad_alloc.
    explicit StopBridge(std::stop_token token) : callback_{std::move(token), Request{source_}} {}
    StopBridge(const StopBridge&) = delete;
    StopBridge& operator=(const StopBridge&) = delete;

    /// Returns a token that is stopped with the std::stop_token.
    [[nodiscard]] StopToken token() const noexcept { return source_.token(); }

private:
    struct Request {
        StopSource source;
        void operator()() const noexcept { source.request_stop(); }
    };

    StopSource source_;
    std::stop_callback<Request> callback_;
};

}}  // namespace belay
