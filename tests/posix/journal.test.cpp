// SPDX-License-Identifier: MIT
// Goal: a Journal on real files keeps its guarantees. Method: threads, locks, paths and limits.
#include <belay/posix/journal.hpp>

#include <sys/resource.h>
#include <fstream>

#include <csignal>
#include <thread>

#include "support/catch.hpp"
#include "support/journal/small_files.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

using namespace belay;
using belay_test::files_of_64k;
using belay_test::in_child;
using belay_test::TemporaryDirectory;
using belay_test::text_for;

TEST_CASE("posix::Journal::open makes a journal, and opens it again", "[posix][journal][unit]") {
    const TemporaryDirectory dir;
    Id id{};
    {
        auto journal = posix::Journal::open(dir / "outbox");
        REQUIRE(journal);
        CHECK(journal->report().created);
        id = journal->journal_id();
        for (std::uint64_t n = 1; n <= 1000; ++n) REQUIRE(journal->append(as_bytes(text_for(n))));
        REQUIRE_FALSE(journal->commit());
        REQUIRE_FALSE(journal->ack(10));
    }
    auto journal = posix::Journal::open(dir / "outbox", {.flush = Flush::group});
    REQUIRE(journal);
    CHECK(journal->journal_id() == id);
    CHECK(journal->run() == 2);
    CHECK(journal->report().operations == 990);
    for (std::uint64_t n = 11; n <= 1000; ++n) REQUIRE(as_text(*journal->read(n)) == text_for(n));
}

TEST_CASE("Journal: many threads append and commit, and each gets its own number",
          "[posix][journal][unit]") {
    const TemporaryDirectory dir;
    constexpr std::uint64_t threads = 8;
    constexpr std::uint64_t each = 200;
    auto journal = posix::Journal::open(dir / "q", files_of_64k);
    REQUIRE(journal);
    std::vector<std::vector<std::uint64_t>> numbers(threads);
    std::atomic<int> wrong{0};
    {
        std::vector<std::thread> running;
        for (std::uint64_t t = 0; t < threads; ++t) {
            running.emplace_back([&, t] {
                for (std::uint64_t i = 0; i < each; ++i) {
                    const std::string text = std::to_string(t) + ":" + std::to_string(i);
                    const auto number = journal->append(as_bytes(text));
                    if (!number || journal->commit() || journal->durable() < *number) ++wrong;
                    if (number) numbers[t].push_back(*number);
                }
            });
        }
        // The owner reads and acknowledges meanwhile.
        while (journal->base() <= threads * each) {
            const std::uint64_t durable = journal->durable();
            for (std::uint64_t n = journal->base(); n <= durable; ++n) {
                if (!journal->read(n) || !journal->check(n)) ++wrong;
                if (n % 50 == 0 && journal->ack(n)) ++wrong;
            }
            if (durable == threads * each && journal->ack(durable)) ++wrong;
        }
        for (std::thread& t : running) t.join();
    }
    CHECK(wrong == 0);
    std::vector<bool> observed(threads * each + 1);
    for (const auto& own : numbers) {
        CHECK(std::is_sorted(own.begin(), own.end()));
        for (const std::uint64_t n : own) observed[n] = true;
    }
    CHECK(std::count(observed.begin(), observed.end(), true) == threads * each);
}

TEST_CASE("Journal: segments are sealed and deleted at the same time", "[posix][journal][unit]") {
    // For ThreadSanitizer: one thread starts new segments all the time, one flushes, and the owner
    // acknowledges and stores notes.
    const TemporaryDirectory dir;
    const Bytes body(900, std::byte{'x'});
    auto journal = posix::Journal::open(
        dir / "q", {.flush = Flush::none, .segment_bytes = 4096, .record_bytes_max = 1000});
    REQUIRE(journal);
    constexpr std::uint64_t count = 1500;
    std::atomic<int> wrong{0};
    std::thread appending{[&] {
        for (std::uint64_t n = 1; n <= count; ++n) {
            const auto number = journal->append(body);
            if (!number || *number != n) ++wrong;
        }
    }};
    std::thread flushing{[&] {
        while (journal->base() <= count && wrong == 0) {
            if (journal->unflushed() && journal->flush()) ++wrong;
            // The last segment of the appended operations is always left.
            if (journal->last() > 0 && journal->bytes() == 0) ++wrong;
        }
    }};
    std::uint64_t note = 0;
    while (journal->base() <= count && wrong == 0) {
        if (journal->keep(as_bytes(std::to_string(++note)))) ++wrong;
        if (as_text(journal->kept()) != std::to_string(note)) ++wrong;
        const std::uint64_t last = journal->last();
        // Some segments stay, so that the index has entries to move.
        const std::uint64_t up_to = last == count ? last : last - std::min<std::uint64_t>(last, 4);
        if (up_to < journal->base()) {
            std::this_thread::yield();
        } else if (!journal->read(up_to) || !journal->check(up_to) || journal->ack(up_to)) {
            ++wrong;
        }
    }
    appending.join();
    flushing.join();
    CHECK(wrong == 0);
    CHECK(journal->base() == count + 1);
    { const auto closed = std::move(*journal); }
    journal = posix::Journal::open(dir / "q", files_of_64k);
    REQUIRE(journal);
    CHECK(as_text(journal->kept()) == std::to_string(note));
}

TEST_CASE("Journal::open reports a path that is a file, or has no parent",
          "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    REQUIRE(posix::Files{}.open(dir / "file", OpenMode::replace));
    const auto file = posix::Journal::open(dir / "file");
    REQUIRE_FALSE(file);
    CHECK(file.error().message().find("choose a path that is a directory") != std::string::npos);
    // A file in the middle of the path.
    const auto below = posix::Journal::open(dir / "file/q");
    REQUIRE_FALSE(below);
    CHECK(below.error().code == std::errc::not_a_directory);
    CHECK(below.error().where == dir / "file/q");
    CHECK(below.error().message().find("choose a path that is a directory") != std::string::npos);
    const auto orphan = posix::Journal::open(dir / "no/q");
    REQUIRE_FALSE(orphan);
    CHECK(orphan.error().message().find("create the parent directory") != std::string::npos);
    const auto empty = posix::Journal::open("");
    REQUIRE_FALSE(empty);
    CHECK(empty.error().message().find("an empty path: ") == 0);
    CHECK(empty.error().message().find("pass the path of a directory") != std::string::npos);
    CHECK(in_child([&] {
        const rlimit limit{0, 0};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
        const auto opened = posix::Journal::open(dir / "q");
        return !opened && opened.error().message().find("limit of open files") != std::string::npos;
    }));
    const auto long_path = posix::Journal::open(dir / std::string(300, 'x'));
    REQUIRE_FALSE(long_path);
    CHECK(long_path.error().code == std::errc::filename_too_long);
}

TEST_CASE("Journal::open fails in a second process", "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    const auto journal = posix::Journal::open(dir / "q");
    REQUIRE(journal);
    CHECK(in_child([&] {
        const auto second = posix::Journal::open(dir / "q");
        return !second && second.error().code == QueueErrc::already_locked;
    }));
}

TEST_CASE("Journal at the limit of file sizes loses no operation", "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    const auto limit_file_sizes = [](rlim_t bytes) {
        rlimit limit{};
        static_cast<void>(::getrlimit(RLIMIT_FSIZE, &limit));
        limit.rlim_cur = bytes;
        return ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
    };
    const auto reads = [](posix::Journal& journal, std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t n = from; n <= to; ++n) {
            const auto body = journal.read(n);
            if (!body || as_text(*body) != text_for(n)) return false;
        }
        return true;
    };
    // The limit is in the middle of a file, or prevents the next file, which is larger.
    const bool in_the_middle = GENERATE(true, false);
    const rlim_t limit = in_the_middle ? 32 << 10 : 100 << 10;
    JournalOptions options = files_of_64k;
    REQUIRE(posix::Journal::open(dir / "q", options));
    if (!in_the_middle) options.segment_bytes = 256 << 10;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        auto journal = posix::Journal::open(dir / "q", options);
        if (!journal || !limit_file_sizes(limit)) return false;
        std::uint64_t durable = 0;
        std::error_code error;
        while (!error) {
            const auto number = journal->append(as_bytes(text_for(journal->last() + 1)));
            error = number ? journal->commit() : number.error();
            if (!error) durable = *number;
        }
        if (error != std::errc::file_too_large || durable <= 10) return false;
        // Accepted operations stay, and are not reported as durable. The error is returned again.
        const std::uint64_t taken = journal->last();
        if (journal->durable() != durable || journal->failed()) return false;
        if (in_the_middle != (taken > durable)) return false;
        if (in_the_middle && journal->commit() != std::errc::file_too_large) return false;
        if (journal->durable() != durable || !reads(*journal, 1, taken)) return false;
        if (journal->ack(durable / 2) || journal->base() != durable / 2 + 1) return false;
        if (!limit_file_sizes(RLIM_INFINITY)) return false;
        if (journal->commit() || journal->durable() != taken) return false;
        if (journal->acked_durable() != durable / 2) return false;
        for (std::uint64_t n = taken + 1; n <= taken + 300; ++n) {
            const auto number = journal->append(as_bytes(text_for(n)));
            if (!number || *number != n) return false;
        }
        if (journal->commit() || !reads(*journal, durable / 2 + 1, taken + 300)) return false;
        std::ofstream{dir / "told"} << durable / 2 << ' ' << taken + 300;
        return true;
    }));
    std::uint64_t acked = 0;
    std::uint64_t durable = 0;
    std::ifstream{dir / "told"} >> acked >> durable;
    auto journal = posix::Journal::open(dir / "q", files_of_64k);
    REQUIRE(journal);
    CHECK(acked > 5);
    CHECK(journal->base() == acked + 1);
    CHECK(journal->last() == durable);
    CHECK(reads(*journal, acked + 1, durable));
}
