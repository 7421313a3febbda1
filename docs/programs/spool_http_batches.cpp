// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <string>

#include <belay/curl/http.hpp>  // needs libcurl
#include <belay/drive.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Sender {
    struct Batch {
        std::string lines{};
        std::uint64_t last = 0;  // the number of its last reading
        int count = 0;
    };
    // excerpt: begin
    /// The oldest readings, about 64 KiB of them. A reading that the disk has damaged holds back no other.
    Batch next() {
        Batch batch{{}, journal.base() - 1};
        while (batch.last < journal.durable() && batch.lines.size() < 64 << 10 && batch.count < count_max) {
            if (const auto reading = journal.read(++batch.last)) {
                ++batch.count;
                batch.lines += std::to_string(batch.last) + ' ' + std::string{as_text(*reading)} + '\n';
            } else if (reading.error() == QueueErrc::corrupt) {
                ++damaged;
            } else {
                --batch.last;
                break;  // the disk fails: try again later
            }
        }
        return batch;
    }
    // excerpt: end
    Task<Result<void>> run() {
        for (;;) {
            Batch batch = next();
            if (batch.last < journal.base()) {
                co_await sleeper.async_sleep_until(after(sleeper.now(), 100ms));
                continue;
            }
            // excerpt: begin
            HttpRequest post{.url = url,
                             .method = "POST",
                             .headers = {{"Idempotency-Key", source + std::to_string(batch.last)}},
                             .body = std::move(batch.lines),
                             .deadline = 5min};
            const auto answer = co_await calls.send(post);
            // These speak of the batch. With any other, the server is away, or does not know this program.
            const int status = answer.last() != nullptr ? answer.last()->status : 0;
            const bool is_rejected = status == 400 || status == 413 || status == 422;
            if (is_rejected && batch.count > 1) {  // too large, or one of them is wrong: send the first half
                count_max = batch.count / 2;
                continue;
            }
            if (is_rejected) std::fprintf(stderr, "rejected: %d: %s\n", static_cast<int>(batch.last), answer.last()->body.c_str());
            std::error_code error;
            if (!answer && !is_rejected) error = answer.error();
            if (!error) error = journal.ack(batch.last);
            if (!error) error = journal.commit();
            if (error) {  // the batch is sent again
                std::fprintf(stderr, "up to %d: %s\n", static_cast<int>(batch.last), error.message().c_str());
                co_await sleeper.async_sleep_until(after(sleeper.now(), 30s));
            } else {
                ++batches;
                count_max = std::min(2 * count_max, 10'000);
            }
            // excerpt: end
        }
    }

    posix::Journal& journal;
    HttpCalls<curl::Http, LoopSleeper<posix::Loop<>>>& calls;
    LoopSleeper<posix::Loop<>>& sleeper;
    std::string url;
    std::string source;
    int count_max = 10'000;  // of readings in a batch
    int batches = 0;
    int damaged = 0;
};

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    auto journal = posix::Journal::open("readings", {.flush = Flush::group});
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    posix::Loop<> loop;
    curl::Http http{loop};
    LoopSleeper sleeper{loop};
    HttpCalls calls{http,
                    sleeper,
                    {.attempts_max = 1000,
                     .wait_max = 30s,
                     .budget = {.retry_cost_milli = 0, .timeout_cost_milli = 0},  // one request at a time
                     .breaker = {.percent = 0}}};
    std::string source;  // the id of this device's journal, in hexadecimal
    for (const std::byte b : journal->journal_id()) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(b));
        source += digits;
    }
    Sender sender{*journal, calls, sleeper, "http://127.0.0.1:" + std::string{words[1]} + "/busy-twice?from=" + source, source + '-'};
    Task<Result<void>> sending = sender.run();
    sending.start();
    for (const char* const reading : {"21.5", "21.7", "21.6"}) {
        if (journal->append(as_bytes(reading)).error()) return std::puts("the disk is full: drop, or wait"), 1;
    }
    if (journal->commit()) return 1;  // from here on they survive a crash
    if (!loop.run_until([&] { return journal->size() == 0; }, 1min)) return 1;
    std::printf("3 readings in %d batch\n", sender.batches);
}
