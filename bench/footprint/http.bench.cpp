// SPDX-License-Identifier: MIT
// How often one request asks operator new for memory, libcurl's own left out, which asks malloc: one
// iteration tells all, and its time nothing.
#if __has_include(<curl/curl.h>)
#    include <benchmark/benchmark.h>

#    include <belay/curl/http.hpp>

#    include "curl/http_baselines.hpp"
#    include "support/counting_new.hpp"

namespace {

constexpr int requests_counted = 1000;

/// `ask(done)` begins a request, and `done()` is called at its end.
template <class Ask>
void count_requests(benchmark::State& state, belay::posix::Loop<>& loop, Ask ask) {
    const auto once = [&] {
        bool ended = false;
        ask([&] { ended = true; });
        loop.run_until([&] { return ended; });
    };
    for (auto _ : state) {
        once();
        const belay_test::Counting counting;
        for (int i = 0; i < requests_counted; ++i) once();
        state.counters["allocations_each"] =
            static_cast<double>(counting.made()) / requests_counted;
    }
}
void request_allocations(benchmark::State& state) {
    belay::posix::Loop<> loop;
    belay_bench::PageServer server{loop};
    belay::curl::Http http{loop,
                           [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); }};
    std::optional<belay::curl::Http::Handle> handle;
    count_requests(state, loop, [&](auto done) {
        using Response = belay::HttpResponse;
        belay::Completion<Response> completion{
            [done](std::optional<Response>) mutable noexcept { done(); }};
        handle.emplace(http.request({.url = server.url}, std::move(completion)));
    });
}
void request_allocations_by_hand(benchmark::State& state) {
    belay::posix::Loop<> loop;
    belay_bench::PageServer server{loop};
    belay_bench::CurlByHand curl{loop};
    count_requests(state, loop, [&](auto done) {
        curl.get(server.url, [done](int, std::string) mutable { done(); });
    });
}
BENCHMARK(request_allocations)->Name("curl/http/allocations/belay")->Iterations(1);
BENCHMARK(request_allocations_by_hand)->Name("curl/http/allocations/by_hand")->Iterations(1);

}  // namespace
#endif
