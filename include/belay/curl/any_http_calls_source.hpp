// SPDX-License-Identifier: MIT
/// \file belay/curl/any_http_calls_source.hpp
/// The definition of curl::AnyHttpCalls: exactly one source file of a program includes it.
/// Link belay::curl or -lcurl.
#pragma once

#include <belay/curl/any_http_calls.hpp>
#include <belay/curl/http.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/http/http_calls.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The calls over a client of libcurl.
class AnyCallsOf final : public AnyCalls {
    using Configure = std::function<int(void*)>;

public:
    AnyCallsOf(posix::Loop<>& loop, const HttpCallsOptions& options, HttpCallsOptions::Hooks hooks,
               Configure configure)
        : http_{loop, configured(std::move(configure))},
          sleeper_{loop},
          calls_{http_, sleeper_, options, std::move(hooks)} {}

    belay::Task<Ended> send(HttpRequest& request, Stop stop) override {
        return stop ? calls_.send(request, *std::move(stop)) : calls_.send(request);
    }
    belay::Task<Ended> get(std::string url, Stop stop) override {
        return stop ? calls_.get(std::move(url), *std::move(stop)) : calls_.get(std::move(url));
    }
    Ended send_blocking(posix::Loop<>& loop, HttpRequest request, Stop stop) override {
        return stop ? calls_.send_blocking(loop, std::move(request), *std::move(stop))
                    : calls_.send_blocking(loop, std::move(request));
    }
    const HttpCallsCounters& counters() const noexcept override { return calls_.counters(); }
    const HttpCallsOptions& options() const noexcept override { return calls_.options(); }
    BreakerState breaker_state(std::string_view url) const override {
        return calls_.breaker_state(url);
    }
    std::size_t breakers(BreakerState state) const override { return calls_.breakers(state); }

private:
    [[nodiscard]] static CurlConfigure configured(Configure configure) {
        if (!configure) return {};
        return [f = std::move(configure)](CURL* curl) { return static_cast<CURLcode>(f(curl)); };
    }

    curl::Http http_;
    LoopSleeper<posix::Loop<>> sleeper_;
    HttpCalls<curl::Http, LoopSleeper<posix::Loop<>>> calls_;
};

// Not inline: a second source file that includes this is an error of the linker.
std::unique_ptr<AnyCalls> any_http_calls_source_hpp_must_be_included_by_exactly_one_file(
    posix::Loop<>& loop, const HttpCallsOptions& options, HttpCallsOptions::Hooks hooks,
    std::function<int(void*)> configure) {
    return std::make_unique<AnyCallsOf>(loop, options, std::move(hooks), std::move(configure));
}

}}}  // namespace belay::detail
