// SPDX-License-Identifier: MIT
/// \file tests/support/sqlite/database_suite.hpp
/// The tests of a queue in a database, as functions over `Db`.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include <belay/core/random.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/journal/kill_at_work.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

namespace belay_test {

// A Db has the types Storage, Options and System, and two values of Options: with `full` each
// change is flushed; with `fast` it is not, for tests without a loss of power. While a System
// exists, System::flushes counts. The write or flush after System::countdown others fails; with -1,
// none does. `openings` limits how often one test may open it, and `no_room` is its error at the
// limit of file sizes.

inline std::error_code push(auto& storage, const std::string& text) {
    return storage.try_push(belay::as_bytes(text));
}
/// The oldest operation, or the reason why there is none.
inline std::string first_of(auto& storage) {
    const auto body = storage.front();
    return body ? std::string{belay::as_text(*body)} : body.error().message();
}

template <class Db>
typename Db::Storage opened(const std::string& path, typename Db::Options options = Db::fast) {
    auto storage = Db::Storage::open(path, options);
    INFO((storage ? "" : storage.error().message()));
    REQUIRE(storage);
    return std::move(*storage);
}
/// The reason why the file does not open.
template <class Db>
auto refused(const std::string& path, typename Db::Options options = Db::fast) {
    auto storage = Db::Storage::open(path, options);
    REQUIRE_FALSE(storage);
    return storage.error();
}
/// Pushes the operations 1 to `count`.
template <class Db>
void fill(const std::string& path, std::uint64_t count) {
    auto storage = opened<Db>(path);
    for (std::uint64_t n = 1; n <= count; ++n) REQUIRE_FALSE(push(storage, text_for(n)));
}
inline std::string bytes_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

/// The type is a storage, also when it is opened again in between.
template <class Db>
void check_database_conforms() {
    const TemporaryDirectory dir;
    int made = 0;
    for (const bool full : {true, false}) {
        const auto open = [&] {
            return opened<Db>(dir / std::to_string(made), full ? Db::full : Db::fast);
        };
        const auto make = [&] {
            ++made;
            return open();
        };
        const auto value = [](std::uint64_t i) { return belay::Bytes(i % 500, std::byte(i)); };
        check_storage_conformance(make, value, open,
                                  {.histories = full ? 1U : 5U, .steps = 150, .fill = 10});
        for (const Meanwhile meanwhile : {Meanwhile::nothing, Meanwhile::copy}) {
            const Displacer displace{[&] { return dir / std::to_string(made); }, meanwhile};
            check_storage_conformance(make, value, open, displace,
                                      {.histories = 0, .steps = 0, .fill = 2});
        }
    }
}

/// No change is confirmed while the file is not at its path, and all confirmed changes are found.
template <class Db>
void check_displaced() {
    const TemporaryDirectory dir;
    for (const bool full : {true, false}) {
        const std::string path = dir / (full ? "full" : "fast");
        const Displacer displace{[&] { return path; }, Meanwhile::copy};
        {
            auto storage = opened<Db>(path, full ? Db::full : Db::fast);
            for (std::uint64_t n = 1; n <= 5; ++n) REQUIRE_FALSE(push(storage, text_for(n)));
            REQUIRE_FALSE(storage.commit());
            displace(true);
            for (int i = 0; i < 5; ++i) {
                CHECK(push(storage, "lost") == belay::QueueErrc::displaced);
                CHECK(storage.ack() == belay::QueueErrc::displaced);
                CHECK_FALSE(storage.try_pop());
            }
            CHECK(storage.commit() == (full ? std::error_code{} : belay::QueueErrc::displaced));
            CHECK_FALSE(storage.failed());
            CHECK(first_of(storage) == text_for(1));
            displace(false);
            REQUIRE_FALSE(push(storage, text_for(6)));
            REQUIRE_FALSE(storage.commit());
        }
        auto storage = opened<Db>(path);
        REQUIRE(storage.size() == 6);
        for (std::uint64_t n = 1; n <= 6; ++n) {
            CHECK(first_of(storage) == text_for(n));
            REQUIRE_FALSE(storage.ack());
        }
    }
}

template <class Db>
void check_order() {
    constexpr std::uint64_t count = Db::openings;
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", count);
    for (std::uint64_t n = 1; n <= count; ++n) {
        auto storage = opened<Db>(dir / "q");
        REQUIRE(storage.size() == count + 1 - n);
        REQUIRE(first_of(storage) == text_for(n));
        if (n % 2 == 0) {
            REQUIRE_FALSE(storage.ack());
        } else {
            REQUIRE(storage.try_pop());
        }
    }
    auto storage = opened<Db>(dir / "q");
    CHECK(storage.front().error() == belay::QueueErrc::queue_empty);
    CHECK_FALSE(storage.try_pop());
    CHECK_FALSE(storage.try_push({}));
    CHECK(storage.front()->empty());
    CHECK_FALSE(storage.commit());
}

template <class Db>
void check_record_limit() {
    const TemporaryDirectory dir;
    typename Db::Options options = Db::fast;
    options.record_bytes_max = 10;
    auto storage = opened<Db>(dir / "q", options);
    CHECK_FALSE(storage.try_push(belay::Bytes(10)));
    CHECK(storage.try_push(belay::Bytes(11)) == belay::QueueErrc::too_large);
    CHECK(storage.size() == 1);
    CHECK_FALSE(storage.failed());
    options.record_bytes_max = 2'000'000'000;
    CHECK(refused<Db>(dir / "r", options).code == belay::QueueErrc::bad_options);
}

template <class Db>
void check_flushes() {
    const TemporaryDirectory dir;
    const typename Db::System system;
    for (const bool full : {true, false}) {
        auto storage = opened<Db>(dir / (full ? "full" : "fast"), full ? Db::full : Db::fast);
        const auto flushes_of = [](auto change) {
            const int before = Db::System::flushes;
            REQUIRE_FALSE(change());
            return Db::System::flushes - before;
        };
        // The first opening may do more work.
        REQUIRE_FALSE(push(storage, "x"));
        CHECK(flushes_of([&] { return push(storage, "x"); }) == (full ? 1 : 0));
        CHECK(flushes_of([&] { return storage.ack(); }) == (full ? 1 : 0));
        CHECK((flushes_of([&] { return storage.commit(); }) > 0) == !full);
    }
}

template <class Db>
void check_moves() {
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", 2);
    auto storage = opened<Db>(dir / "q");
    const belay::BytesView lent = *storage.front();
    auto moved = opened<Db>(dir / "other");
    moved = std::move(storage);
    CHECK(belay::as_text(lent) == text_for(1));
    CHECK_FALSE(moved.ack());
    CHECK(first_of(moved) == text_for(2));
    CHECK(refused<Db>(dir / "q").code == belay::QueueErrc::already_locked);
    // The file of the storage that was assigned to can be opened again.
    CHECK(opened<Db>(dir / "other").size() == 0);
}

template <class Db>
void check_ack_asks_for_an_operation() {
    const TemporaryDirectory dir;
    auto storage = opened<Db>(dir / "q");
    CHECK(aborts_with([&] { static_cast<void>(storage.ack()); }).find("there must be an op") !=
          std::string::npos);
}

template <class Db>
void check_lock() {
    const TemporaryDirectory dir;
    {
        auto storage = opened<Db>(dir / "q");
        const auto error = refused<Db>(dir / "q");
        CHECK(error.code == belay::QueueErrc::already_locked);
        CHECK(error.message().find("end the other program") != std::string::npos);
        CHECK(in_child([&] {
            const auto second = Db::Storage::open(dir / "q");
            return !second && second.error().code == belay::QueueErrc::already_locked;
        }));
        CHECK_FALSE(push(storage, "x"));
    }
    CHECK(opened<Db>(dir / "q").size() == 1);
}

template <class Db>
void check_bad_paths() {
    const TemporaryDirectory dir;
    const auto advises = [](const std::string& path, const char* what) {
        return refused<Db>(path).message().find(what) != std::string::npos;
    };
    CHECK(advises(dir.path(), "choose the path of a file"));
    CHECK(advises(dir / "no/q", "create the parent directory first"));
    std::ofstream{dir / "file"} << "x";
    CHECK(advises(dir / "file/q", "a component of this path is a file and not a directory"));
    CHECK(refused<Db>(dir / std::string(300, 'x')).code == std::errc::filename_too_long);
    CHECK(refused<Db>("").code == belay::QueueErrc::bad_options);
    CHECK(refused<Db>(std::string{"a\0b", 3}).code == belay::QueueErrc::bad_options);
}

/// The file of another program is not changed. Returns the error of opening it.
template <class Db>
auto check_foreign(const std::string& path) {
    INFO(path);
    const std::string before = bytes_of(path);
    const auto error = refused<Db>(path);
    CHECK(error.code == belay::QueueErrc::foreign_file);
    CHECK(bytes_of(path) == before);
    return error;
}

template <class Db>
void check_permissions() {
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", 1);
    // The permissions exclude the child of root, which has the user `nobody`, or otherwise the
    // owner.
    REQUIRE(::chmod((dir / "q").c_str(), 0444) == 0);
    REQUIRE(::chmod(dir.path().c_str(), 0555) == 0);
    if (can_drop_privileges(dir.path())) {
        CHECK(in_child_without_privileges([&] {
            for (const char* const name : {"q", "new"}) {
                const auto storage = Db::Storage::open(dir / name);
                if (storage || storage.error().code != std::errc::permission_denied ||
                    storage.error().message().find("allow this user") == std::string::npos) {
                    return false;
                }
            }
            return true;
        }));
    }
    REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);
}

/// There is no space, and then there is space again.
template <class Db>
void check_limit_of_file_sizes() {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        auto storage = Db::Storage::open(dir / "q", Db::fast);
        if (!storage) return false;
        rlimit limit{64 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        std::uint64_t taken = 0;
        std::error_code error;
        while (!(error = push(*storage, text_for(taken + 1)))) ++taken;
        if (error != Db::no_room || storage->failed() || taken < 3) return false;
        if (storage->size() != taken || first_of(*storage) != text_for(1)) return false;
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        if (push(*storage, text_for(++taken))) return false;
        std::ofstream{dir / "taken"} << taken;
        return true;
    }));
    std::uint64_t taken = 0;
    std::ifstream{dir / "taken"} >> taken;
    auto storage = opened<Db>(dir / "q");
    CHECK(storage.size() == taken);
    for (std::uint64_t n = 1; n <= taken; ++n) {
        REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
    }
}

/// Pushes and acknowledges until it is killed, and reports each success: the numbers of pushed and
/// of removed values.
struct Done {
    std::uint64_t pushed = 0;
    std::uint64_t removed = 0;
};
template <class Db>
int push_and_ack(const std::string& path, typename Db::Options options, std::uint64_t seed,
                 Done done, ReportPipe<Done> report) {
    auto storage = Db::Storage::open(path, options);
    if (!storage) return 1;
    belay::Random chance{belay::Seed{seed}};
    for (;; report(done)) {
        if (chance() % 5 < 3 || storage->size() == 0) {
            if (push(*storage, text_for(done.pushed + 1))) return 2;
            ++done.pushed;
        } else {
            if (first_of(*storage) != text_for(done.removed + 1)) return 3;
            if (storage->ack()) return 4;
            ++done.removed;
        }
    }
}
template <class Db>
void check_kills() {
    const TemporaryDirectory dir;
    belay::Random bits{belay::Seed{1}};
    Done reported_done;
    for (std::uint64_t round = 0; round < 24; ++round) {
        INFO("round " << round);
        const auto options = round % 2 == 0 ? Db::full : Db::fast;
        const Done before = reported_done;
        kill_at_work<Done>(
            1 + bits() % 60,
            [&](ReportPipe<Done> report) {
                return push_and_ack<Db>(dir / "q", options, round + 100, before, report);
            },
            [&](const Done& done) { reported_done = done; });

        auto storage = opened<Db>(dir / "q");
        // The result of at most one call was not reported: a push, or an ack.
        if (storage.size() == reported_done.pushed - reported_done.removed + 1) {
            ++reported_done.pushed;
        } else if (storage.size() + 1 == reported_done.pushed - reported_done.removed) {
            ++reported_done.removed;
        }
        REQUIRE(storage.size() == reported_done.pushed - reported_done.removed);
        if (storage.size() > 0) REQUIRE(first_of(storage) == text_for(reported_done.removed + 1));
    }
    CHECK(reported_done.pushed > 100);
    auto storage = opened<Db>(dir / "q");
    for (std::uint64_t n = reported_done.removed + 1; n <= reported_done.pushed; ++n) {
        REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
    }
    CHECK(storage.size() == 0);
}

/// The promises of every database.
template <class Db>
void check_database() {
    using Storage = typename Db::Storage;
    static_assert(std::is_nothrow_move_constructible_v<Storage> &&
                  std::is_nothrow_move_assignable_v<Storage> &&
                  !std::is_copy_constructible_v<Storage>);
    SECTION("conforms, opened again and again") { check_database_conforms<Db>(); }
    SECTION("confirms nothing while its file is not at its path") { check_displaced<Db>(); }
    SECTION("keeps operations in order, over openings") { check_order<Db>(); }
    SECTION("under a Queue") {
        const TemporaryDirectory dir;
        check_under_queue(opened<Db>(dir / "q"));
    }
    SECTION("accepts no operation above the limit") { check_record_limit<Db>(); }
    SECTION("flushes each change with Flush::full, and otherwise on request") {
        check_flushes<Db>();
    }
    SECTION("keeps its front when it is moved") { check_moves<Db>(); }
    SECTION("ack without an operation aborts") { check_ack_asks_for_an_operation<Db>(); }
    SECTION("open fails while another one has it open") { check_lock<Db>(); }
    SECTION("open reports what is wrong with a path") { check_bad_paths<Db>(); }
    SECTION("open reports missing permissions") { check_permissions<Db>(); }
    SECTION("at the limit of file sizes continues when there is space again") {
        check_limit_of_file_sizes<Db>();
    }
    SECTION("keeps confirmed operations through SIGKILL") { check_kills<Db>(); }
}

}  // namespace belay_test
