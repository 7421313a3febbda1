// SPDX-License-Identifier: MIT
/// \file belay/curl/any_http_calls.hpp
/// curl::AnyHttpCalls: an HttpCalls over curl::Http that is compiled in a source file of its own.
#pragma once

#include <functional>   // std::function
#include <memory>       // std::unique_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/breaker/breaker_state.hpp>
#include <belay/call/outcome.hpp>
#include <belay/call/task.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/http/http_calls_options.hpp>
#include <belay/http/http_message.hpp>
#include <belay/posix/loop.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An HttpCalls. Without a `stop`, nothing stops the call.
class AnyCalls {
public:
    using Ended = belay::Outcome<HttpResponse>;
    using Stop = std::optional<StopToken>;

    virtual ~AnyCalls() = default;

    virtual belay::Task<Ended> send(HttpRequest& request, Stop stop) = 0;
    virtual belay::Task<Ended> get(std::string url, Stop stop) = 0;
    virtual Ended send_blocking(posix::Loop<>& loop, HttpRequest request, Stop stop) = 0;
    virtual const HttpCallsCounters& counters() const noexcept = 0;
    virtual const HttpCallsOptions& options() const noexcept = 0;
    virtual BreakerState breaker_state(std::string_view url) const = 0;
    virtual std::size_t breakers(BreakerState state) const = 0;
};

/// Makes the calls. Defined in belay/curl/any_http_calls_source.hpp; the linker reports this name
/// if no file of the program includes it, or more than one.
[[nodiscard]] std::unique_ptr<AnyCalls>
any_http_calls_source_hpp_must_be_included_by_exactly_one_file(posix::Loop<>& loop,
                                                               const HttpCallsOptions& options,
                                                               HttpCallsOptions::Hooks hooks,
                                                               std::function<int(void*)> configure);

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace curl {

/// An HttpCalls over a Http and a LoopSleeper, whose code is compiled once.
///
/// A change of your program then compiles without HttpCalls and libcurl, in a third of the time.
/// One source file of the program has this line:
///
///     #include <belay/curl/any_http_calls_source.hpp>
///
/// Compile it with the same compiler, options and macros as the others.
///
///     posix::Loop loop;
///     curl::AnyHttpCalls calls{loop};
///     Outcome<HttpResponse> page = co_await calls.get("https://example.com/");
///     Outcome<HttpResponse> also = calls.send_blocking(loop, {.url = "https://example.com/"});
///
/// Options, hooks, guarantees and thread rules are those of HttpCalls and Http. There is no
/// observer, and the loop has the usual clock: use HttpCalls for another one. The calls must end
/// before this object does, and the loop after it.
///
/// Thread safety: the loop's thread.
/// Costs:         a virtual call for each function.
class AnyHttpCalls {
public:
    /// `configure` sets options of libcurl, as that of Http does. It is called with the handle of
    /// each request (a CURL*), and returns a CURLcode. It may be empty.
    ///
    /// Pre: options.check() is empty.   Throws: std::bad_alloc.
    explicit AnyHttpCalls(posix::Loop<>& loop, const HttpCallsOptions& options = {},
                          HttpCallsOptions::Hooks hooks = {},
                          std::function<int(void*)> configure = {})
        : calls_{detail::any_http_calls_source_hpp_must_be_included_by_exactly_one_file(
              loop, options, std::move(hooks), std::move(configure))} {}

    /// As HttpCalls::send. The request is a variable, and not a temporary.
    [[nodiscard]] Task<Outcome<HttpResponse>> send(HttpRequest& request,
                                                   std::optional<StopToken> stop = {}) {
        return calls_->send(request, std::move(stop));
    }
    /// As HttpCalls::get.
    [[nodiscard]] Task<Outcome<HttpResponse>> get(std::string url,
                                                  std::optional<StopToken> stop = {}) {
        return calls_->get(std::move(url), std::move(stop));
    }
    /// As HttpCalls::send_blocking.   Pre: `loop` is the loop of this object.
    [[nodiscard]] Outcome<HttpResponse> send_blocking(posix::Loop<>& loop, HttpRequest request,
                                                      std::optional<StopToken> stop = {}) {
        return calls_->send_blocking(loop, std::move(request), std::move(stop));
    }

    /// As HttpCalls::counters.
    [[nodiscard]] const HttpCallsCounters& counters() const noexcept { return calls_->counters(); }
    /// As HttpCalls::options.
    [[nodiscard]] const HttpCallsOptions& options() const noexcept { return calls_->options(); }
    /// As HttpCalls::breaker_state.   Throws: std::bad_alloc.
    [[nodiscard]] BreakerState breaker_state(std::string_view url) const {
        return calls_->breaker_state(url);
    }
    /// As HttpCalls::breakers.
    [[nodiscard]] std::size_t breakers(BreakerState state) const { return calls_->breakers(state); }

private:
    std::unique_ptr<detail::AnyCalls> calls_;
};

}}}  // namespace belay::curl
