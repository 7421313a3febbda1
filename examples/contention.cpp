// SPDX-License-Identifier: MIT
// N clients change one record, each with "write if nobody else has since I read it". How much work
// is that in all, and how long does it take, by the way in which the losers wait? The simulation of
// M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), made anew.
//
//     contention [--svg FILE]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "chart.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// A way to wait that is none.
struct AtOnce {
    static Duration next() noexcept { return 0ns; }
};

struct Outcome {
    double calls = 0;         ///< reads and writes that the server saw
    double milliseconds = 0;  ///< until the last client was done
};

/// A message on its way to the server.
struct Message {
    Duration arrives;
    std::size_t client;
    bool write;
    std::uint64_t version;  ///< of a write: the one that was read

    friend bool operator>(const Message& a, const Message& b) {
        return a.arrives != b.arrives ? a.arrives > b.arrives : a.client > b.client;
    }
};

/// All clients start at once, over a network that takes 6 to 14 ms each way.
template <class Wait>
Outcome contend(std::vector<Wait> waits, Seed seed) {
    Random bits{seed};
    const auto network = [&bits] { return 6ms + Duration{uniform_upto(bits, 8'000'000)}; };
    std::priority_queue<Message, std::vector<Message>, std::greater<>> under_way;
    for (std::size_t i = 0; i < waits.size(); ++i) under_way.push({network(), i, false, 0});
    std::uint64_t version = 0;
    Outcome outcome;
    for (; !under_way.empty(); ++outcome.calls) {
        Message m = under_way.top();
        under_way.pop();
        const Duration answered = m.arrives + network();
        if (!m.write) {
            under_way.push({answered + network(), m.client, true, version});
        } else if (m.version == version) {
            ++version;
            outcome.milliseconds = std::max(
                outcome.milliseconds, std::chrono::duration<double, std::milli>(answered).count());
        } else {
            const Duration again = answered + waits[m.client].next();
            under_way.push({again + network(), m.client, false, 0});
        }
    }
    return outcome;
}

constexpr int most_clients = 190, step = 21, rounds = 10;

class Comparison {
public:
    template <class Make>
    void add(const char* name, Make&& make) {
        calls_.lines.push_back({name, {}});
        time_.lines.push_back({name, {}});
        for (int n = 1; n <= most_clients; n += step) {
            Outcome mean;
            for (std::uint64_t round = 1; round <= rounds; ++round) {
                std::vector<decltype(make(Seed{1}))> waits;
                for (int i = 0; i < n; ++i) {
                    waits.push_back(make(Seed{round * 1000 + static_cast<std::uint64_t>(i)}));
                }
                const Outcome one = contend(std::move(waits), Seed{round});
                mean.calls += one.calls / rounds;
                mean.milliseconds += one.milliseconds / rounds;
            }
            calls_.lines.back().points.emplace_back(n, mean.calls);
            time_.lines.back().points.emplace_back(n, mean.milliseconds);
        }
    }

    void print() const {
        for (const Chart* const chart : {&calls_, &time_}) {
            std::printf("%s\n%8s", chart->title.c_str(), "clients");
            for (const Chart::Line& line : chart->lines) std::printf("%20s", line.name.c_str());
            for (std::size_t i = 0; i < chart->lines.front().points.size(); ++i) {
                std::printf("\n%8.0f", chart->lines.front().points[i].first);
                for (const Chart::Line& line : chart->lines) {
                    std::printf("%20.0f", line.points[i].second);
                }
            }
            std::printf("\n\n");
        }
    }
    [[nodiscard]] bool write(const char* path) const {
        ChartSheet sheet{"Optimistic concurrency: N clients write one record", 2};
        sheet.add(calls_);
        sheet.add(time_);
        return sheet.write(path);
    }

    /// At the largest N.
    [[nodiscard]] double calls(std::size_t line) const {
        return calls_.lines[line].points.back().second;
    }

private:
    Chart calls_{"Calls that the server sees", "clients", "", 0, {}};
    Chart time_{"Milliseconds until all are done", "clients", "cut at 15,000", 15000, {}};
};

}  // namespace

int main(int count, char** words) {
    const auto waits = [](auto jitter) {
        return [jitter](Seed seed) { return Backoff{jitter, Cap{2s}, 5ms, seed}; };
    };
    Comparison comparison;
    comparison.add("at once", [](Seed) { return AtOnce{}; });
    comparison.add("NoJitter", waits(NoJitter{}));
    comparison.add("EqualJitter", waits(EqualJitter{}));
    comparison.add("FullJitter", waits(FullJitter{}));
    comparison.add("DecorrelatedJitter", waits(DecorrelatedJitter{}));
    comparison.add("SmoothJitter", waits(SmoothJitter{}));
    comparison.print();
    if (count == 3 && std::string_view{words[1]} == "--svg" && !comparison.write(words[2])) {
        std::printf("cannot write %s\n", words[2]);
        return 2;
    }
    const bool jitter_pays = comparison.calls(3) * 2 < comparison.calls(1);
    std::printf("full jitter needs %.0f %% of the calls of no jitter\n",
                100 * comparison.calls(3) / comparison.calls(1));
    return jitter_pays ? 0 : 1;
}
