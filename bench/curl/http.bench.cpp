// SPDX-License-Identifier: MIT
// Requests of a small page over kept connections, one after the other and 32 at once: curl::Http, and
// libcurl's multi handle by hand on the same loop, in which the server is, too.
#if __has_include(<curl/curl.h>)
#    include <optional>

#    include <benchmark/benchmark.h>

#    include <belay/curl/http.hpp>

#    include "curl/http_baselines.hpp"

namespace {

using namespace belay;

/// Rounds of `at_once` requests; `ask(done)` begins one, `done(right)` is called at its end.
template <class Ask>
void rounds(benchmark::State& state, posix::Loop<>& loop, Ask ask) {
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bool all_right = true;
    for (auto _ : state) {
        std::size_t ended = 0;
        for (std::size_t i = 0; i < at_once; ++i) {
            ask(i, [&](bool right) {
                ++ended;
                all_right = all_right && right;
            });
        }
        loop.run_until([&] { return ended == at_once; });
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
    if (!all_right) state.SkipWithError("the answer is not the page");
}

void requests(benchmark::State& state) {
    posix::Loop<> loop;
    belay_bench::PageServer server{loop};
    curl::Http http{loop, [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); }};
    std::vector<std::optional<curl::Http::Handle>> handles(
        static_cast<std::size_t>(state.range(0)));
    rounds(state, loop, [&](std::size_t i, auto done) {
        handles[i].emplace(http.request(
            {.url = server.url},
            Completion<HttpResponse>{[done](std::optional<HttpResponse> response) mutable noexcept {
                done(response && response->status == 200 && response->body.size() == 200);
            }}));
    });
}
void requests_by_hand(benchmark::State& state) {
    posix::Loop<> loop;
    belay_bench::PageServer server{loop};
    belay_bench::CurlByHand curl{loop};
    rounds(state, loop, [&](std::size_t, auto done) {
        curl.get(server.url, [done](int status, std::string body) mutable {
            done(status == 200 && body.size() == 200);
        });
    });
}
BENCHMARK(requests)->Name("curl/http/request/belay")->ArgName("at_once")->Arg(1)->Arg(32);
BENCHMARK(requests_by_hand)->Name("curl/http/request/by_hand")->ArgName("at_once")->Arg(1)->Arg(32);

}  // namespace
#endif
