// SPDX-License-Identifier: MIT
// An HTTP client without exceptions and RTTI.
#include <coroutine>
#include <optional>
#include <string>
#include <string_view>

#include <belay/http.hpp>
#include <belay/http/http_calls.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// A client that responds at once, with a piece first.
struct Http {
    struct Handle {};
    Handle request(HttpRequest request, Completion<HttpResponse> done) {
        HttpResponse response{.status = 503, .headers = {{"Retry-After", "7"}}};
        if (request.on_chunk) request.on_chunk(response, request.url);
        done(std::move(response));
        return {};
    }
};
static_assert(explain::http_like<Http>());

bool asks_by_http() {
    std::string pieces;
    Failure failure;
    Http http;
    static_cast<void>(
        http.request({.url = "u",
                      .on_chunk = [&](const HttpResponse&,
                                      std::string_view piece) noexcept { pieces += piece; }},
                     Completion<HttpResponse>{[&](std::optional<HttpResponse> response) noexcept {
                         if (response) failure = http_failure(*response);
                     }}));
    return pieces == "u" && failure.cause == Cause::overloaded && failure.retry_after == 7s;
}

/// A sleeper whose time passes at once.
struct HastySleeper {
    struct Wait {
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    template <class Stop>
    Wait async_sleep_until(Instant until, const Stop&) noexcept {
        time = until;
        return {};
    }
    Instant time{};
    Random random{Seed{1}};
};

bool calls_by_http() {
    struct Busy {
        struct Handle {};
        Handle request(HttpRequest, Completion<HttpResponse> done) {
            done(HttpResponse{.status = ++asked < 3 ? 503 : 200});
            return {};
        }
        int asked = 0;
    };
    HastySleeper sleeper;
    Busy http;
    HttpCalls calls{http, sleeper, {.single_flight = true}};
    auto task = calls.get("http://a.example/");
    task.start();
    if (!task.done()) return false;
    const auto page = task.take();
    return page && page->status == 200 && http.asked == 3 && calls.counters().retries == 2;
}

}  // namespace

int main() { return asks_by_http() && calls_by_http() ? 0 : 6; }
