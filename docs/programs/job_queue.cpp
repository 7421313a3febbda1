// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/posix.hpp>
#include <belay/work.hpp>
using namespace belay;
using namespace std::chrono_literals;

Moment now() {  // waits go by the steady clock, stamps by the wall clock
    return {SteadyClock{}.now(), SystemClock{}.now()};
}

int main() {
    // excerpt: begin
    auto journal = posix::Journal::open("orders", {.verify = Verify::skip_damage});  // a damaged item becomes a dead letter
    if (!journal) return std::printf("%s\n", journal.error().message().c_str()), 1;
    auto work = WorkQueue<posix::Journal>::open(std::move(*journal), {.lease = 30s, .deliveries_max = 2, .keys = 10'000}, now());
    if (!work) return std::printf("%s\n", work.error().message().c_str()), 1;  // which entry, and why

    for (const char* const order : {"a piano", "a book"}) {
        if (!work->push(as_bytes(order), now(), {.key = order, .expires_after = 1h})) return 1;
    }
    if (work->commit()) return 1;  // the pushes are durable
    // excerpt: end

    // excerpt: begin
    while (const auto job = work->lease(now())) {  // job->body, id, delivery (1..), deadline
        const bool shipped = as_text(job->body) != "a piano";
        std::printf("%.*s, delivery %u: %s\n", static_cast<int>(job->body.size()), as_text(job->body).data(), job->delivery,
                    shipped ? "shipped" : "failed");
        // ack() removes the item. nack() makes it wait again: for no time, or for a third argument. The second
        // failure makes it a dead letter.
        if (shipped ? work->ack(*job) : work->nack(*job, now())) return 1;
    }
    if (work->commit()) return 1;  // the acknowledgements are durable
    // excerpt: end
    std::printf("%d wait, %d dead\n", static_cast<int>(work->size()), static_cast<int>(work->dead()));
    return 0;
}
