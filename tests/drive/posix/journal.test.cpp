// SPDX-License-Identifier: MIT
// Goal: a Journal on real files keeps its promises. Method: threads, limits, rights, and SIGKILL.
#include <belay/drive/posix/journal.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <fstream>

#include <csignal>
#include <thread>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using belay_test::in_child;
using belay_test::TemporaryDirectory;

namespace {

const JournalOptions small{.segment_bytes = 64 << 10, .record_bytes_max = 1024};

std::string text_for(std::uint64_t number) {
    return std::to_string(number) + std::string(number * 7919 % 300, 'x');
}

}  // namespace

TEST_CASE("posix::Journal::open makes a journal, and finds it again", "[drive][journal][unit]") {
    const TemporaryDirectory dir;
    Id id{};
    {
        auto journal = posix::Journal::open(dir / "outbox");
        REQUIRE(journal);
        CHECK(journal->report().created);
        id = journal->journal_id();
        for (std::uint64_t n = 1; n <= 1000; ++n) REQUIRE(journal->append(as_bytes(text_for(n))));
        REQUIRE_FALSE(journal->sync());
        REQUIRE_FALSE(journal->ack(10));
    }
    auto journal = posix::Journal::open(dir / "outbox", {.sync = Sync::group});
    REQUIRE(journal);
    CHECK(journal->journal_id() == id);
    CHECK(journal->run() == 2);
    CHECK(journal->report().operations == 990);
    for (std::uint64_t n = 11; n <= 1000; ++n) REQUIRE(as_text(*journal->read(n)) == text_for(n));
}

TEST_CASE("Journal: one flush serves many threads, and each gets its own number",
          "[drive][journal][unit]") {
    const TemporaryDirectory dir;
    constexpr std::uint64_t threads = 8;
    constexpr std::uint64_t each = 200;
    auto journal = posix::Journal::open(dir / "q", small);
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
                    if (!number || journal->sync() || journal->durable() < *number) ++wrong;
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
    std::vector<bool> seen(threads * each + 1);
    for (const auto& own : numbers) {
        CHECK(std::is_sorted(own.begin(), own.end()));
        for (const std::uint64_t n : own) seen[n] = true;
    }
    CHECK(std::count(seen.begin(), seen.end(), true) == threads * each);
}

TEST_CASE("Journal: segments are sealed and deleted at the same time", "[drive][journal][unit]") {
    // For the sanitizer of threads: one thread rolls all the time, one flushes, the owner
    // acknowledges and keeps notes.
    const TemporaryDirectory dir;
    const Bytes body(900, std::byte{'x'});
    auto journal = posix::Journal::open(
        dir / "q", {.sync = Sync::none, .segment_bytes = 4096, .record_bytes_max = 1000});
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
            // Of what is appended there is always the last segment left.
            if (journal->last() > 0 && journal->bytes() == 0) ++wrong;
        }
    }};
    std::uint64_t note = 0;
    while (journal->base() <= count && wrong == 0) {
        if (journal->keep(as_bytes(std::to_string(++note)))) ++wrong;
        if (as_text(journal->kept()) != std::to_string(note)) ++wrong;
        const std::uint64_t last = journal->last();
        // Some segments stay, so that the index has something to move.
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
    journal = posix::Journal::open(dir / "q", small);
    REQUIRE(journal);
    CHECK(as_text(journal->kept()) == std::to_string(note));
}

TEST_CASE("Journal::open in a directory without permission says so", "[drive][journal][fault]") {
    const TemporaryDirectory dir;
    if (::geteuid() != 0) {
        WARN("skipped: only root can drop its rights");
        return;
    }
    CHECK(in_child([&] {
        if (::setresuid(65534, 65534, 65534) != 0) return false;
        const auto journal = posix::Journal::open(dir / "q");
        return !journal && journal.error().code == std::errc::permission_denied &&
               journal.error().path == dir / "q" &&
               journal.error().message().find("allow this user") != std::string::npos;
    }));
}

TEST_CASE("Journal::open of a path that is a file, or has no parent, says so",
          "[drive][journal][fault]") {
    const TemporaryDirectory dir;
    REQUIRE(posix::Files{}.open(dir / "file", OpenMode::replace));
    const auto file = posix::Journal::open(dir / "file");
    REQUIRE_FALSE(file);
    CHECK(file.error().message().find("choose a path that is a directory") != std::string::npos);
    const auto orphan = posix::Journal::open(dir / "no/q");
    REQUIRE_FALSE(orphan);
    CHECK(orphan.error().message().find("make the directory above it") != std::string::npos);
    const auto long_path = posix::Journal::open(dir / std::string(300, 'x'));
    REQUIRE_FALSE(long_path);
    CHECK(long_path.error().code == std::errc::filename_too_long);
}

TEST_CASE("Journal::open refuses a second process", "[drive][journal][fault]") {
    const TemporaryDirectory dir;
    const auto journal = posix::Journal::open(dir / "q");
    REQUIRE(journal);
    CHECK(in_child([&] {
        const auto second = posix::Journal::open(dir / "q");
        return !second && second.error().code == QueueErrc::already_locked;
    }));
}

TEST_CASE("Journal at the limit of file sizes loses nothing", "[drive][journal][fault]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        auto journal = posix::Journal::open(dir / "q", small);
        if (!journal) return false;
        // No further segment can be made.
        const rlimit limit{32 << 10, 32 << 10};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        std::uint64_t durable = 0;
        std::error_code error;
        while (!error) {
            const auto number = journal->append(as_bytes(text_for(durable + 1)));
            error = number ? journal->sync() : number.error();
            if (!error) durable = *number;
        }
        const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
        static_cast<void>(::setrlimit(RLIMIT_FSIZE, &none));
        std::ofstream{dir / "durable"} << durable;
        return error == std::errc::file_too_large && durable > 10 && journal->durable() == durable;
    }));
    std::uint64_t durable = 0;
    std::ifstream{dir / "durable"} >> durable;
    auto journal = posix::Journal::open(dir / "q", small);
    REQUIRE(journal);
    CHECK(durable > 10);
    CHECK(journal->last() >= durable);
    for (std::uint64_t n = 1; n <= journal->last(); ++n) {
        REQUIRE(as_text(*journal->read(n)) == text_for(n));
    }
}

TEST_CASE("Journal keeps what it called durable through SIGKILL", "[drive][journal][fault]") {
    const TemporaryDirectory dir;
    std::uint64_t durable = 0;  // what a writer has told, over a pipe, that no kill can take back
    std::uint64_t acked = 0;
    Random bits{Seed{1}};
    for (int round = 0; round < 30; ++round) {
        int pipe[2];
        REQUIRE(::pipe(pipe) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto journal = posix::Journal::open(dir / "q", small);
            if (!journal) ::_exit(1);
            for (;;) {
                for (int i = 0; i < 3; ++i) {
                    if (!journal->append(as_bytes(text_for(journal->last() + 1)))) ::_exit(2);
                }
                if (journal->sync()) ::_exit(3);
                const std::uint64_t told[2] = {journal->durable(), journal->base() - 1};
                if (::write(pipe[1], told, sizeof told) != sizeof told) ::_exit(4);
                if (journal->size() > 500 && journal->ack(journal->base() + 400)) ::_exit(5);
            }
        }
        ::close(pipe[1]);
        const std::uint64_t until = 1 + bits() % 60;
        std::uint64_t told[2];
        for (std::uint64_t i = 0; i < until; ++i) {
            if (::read(pipe[0], told, sizeof told) != sizeof told) break;
            durable = told[0];
            acked = told[1];
        }
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        // What it told before it died, and had not been read yet.
        while (::read(pipe[0], told, sizeof told) == sizeof told) {
            durable = told[0];
            acked = told[1];
        }
        ::close(pipe[0]);
        const auto journal = posix::Journal::open(dir / "q", small);
        REQUIRE(journal);
        REQUIRE(journal->last() >= durable);
        REQUIRE(journal->base() - 1 >= acked);
    }
    auto journal = posix::Journal::open(dir / "q", small);
    REQUIRE(journal);
    for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
        REQUIRE(as_text(*journal->read(n)) == text_for(n));
    }
}
