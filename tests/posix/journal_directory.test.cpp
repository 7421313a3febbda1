// SPDX-License-Identifier: MIT
// Goal: a journal whose directory vanishes while it is open confirms no operation that is not
// durable, and does not change files that take its place. Method: real directories, deleted, moved
// and replaced.
#include <belay/posix/journal.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>

#include "support/catch.hpp"
#include "support/journal/small_files.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

using namespace belay;
using belay_test::files_of_4k;
using belay_test::in_child;
using belay_test::TemporaryDirectory;
using belay_test::text_for;

namespace {

/// A journal of several files, all of it durable.
posix::Journal filled(const std::string& path) {
    auto journal = posix::Journal::open(path, files_of_4k);
    REQUIRE(journal);
    for (std::uint64_t n = 1; n <= 40; ++n) REQUIRE(journal->append(as_bytes(text_for(n))));
    REQUIRE_FALSE(journal->commit());
    return std::move(*journal);
}

/// Appends until it is rejected, over a few files at most.   Returns: the error.
std::error_code append_until_refused(posix::Journal& journal) {
    std::error_code error;
    for (int i = 0; i < 200 && !error; ++i) {
        error = journal.append(as_bytes(text_for(journal.last() + 1))).error();
    }
    return error;
}

/// Appends until a file was made.
void append_over_a_roll(posix::Journal& journal) {
    std::uint64_t bytes = 0;
    while (bytes < 2 * files_of_4k.segment_bytes) {
        const std::string text = text_for(journal.last() + 1);
        REQUIRE(journal.append(as_bytes(text)));
        bytes += text.size();
    }
    REQUIRE_FALSE(journal.commit());
}

bool has_all(posix::Journal& journal, std::uint64_t last) {
    if (journal.last() != last) return false;
    for (std::uint64_t n = journal.base(); n <= last; ++n) {
        const auto body = journal.read(n);
        if (!body || as_text(*body) != text_for(n)) return false;
    }
    return true;
}

/// Every file of a directory.
std::map<std::string, std::string> contents(const std::string& path) {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator{path}) {
        std::ifstream in{entry.path(), std::ios::binary};
        all[entry.path().filename()] = {std::istreambuf_iterator<char>{in}, {}};
    }
    return all;
}

}  // namespace

TEST_CASE("Journal whose directory was deleted continues in its open file, then reports displaced",
          "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    Id id{};
    {
        posix::Journal journal = filled(dir / "q");
        id = journal.journal_id();
        std::filesystem::remove_all(dir / "q");
        CHECK(append_until_refused(journal) == QueueErrc::displaced);
        const std::uint64_t last = journal.last();
        // The file exists while it is open, and cannot be found again.
        CHECK(journal.commit() == QueueErrc::displaced);
        CHECK(journal.durable() == 40);
        CHECK(append_until_refused(journal) == QueueErrc::displaced);
        CHECK(journal.last() == last);
        CHECK_FALSE(journal.failed());
        CHECK(journal.read(1).error() == QueueErrc::displaced);
        CHECK(journal.keep(Bytes(500)) == QueueErrc::displaced);
        CHECK(journal.kept().empty());
        CHECK(journal.ack(40) == QueueErrc::displaced);
        CHECK(journal.base() == 41);
        CHECK_FALSE(journal.try_pop());
    }
    CHECK_FALSE(std::filesystem::exists(dir / "q"));
    // Another journal may be made at its path, and no receiver accepts it as this one.
    auto next = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(next);
    CHECK(next->report().created);
    CHECK(next->journal_id() != id);
}

TEST_CASE("Journal whose directory was moved away continues when it returns",
          "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    // An unmount leaves an empty directory.
    const bool leaves_empty_one = GENERATE(false, true);
    std::uint64_t last = 0;
    {
        posix::Journal journal = filled(dir / "q");
        std::filesystem::rename(dir / "q", dir / "away");
        if (leaves_empty_one) std::filesystem::create_directory(dir / "q");
        CHECK(append_until_refused(journal) == QueueErrc::displaced);
        CHECK_FALSE(journal.failed());
        CHECK(journal.commit() == QueueErrc::displaced);
        CHECK(journal.durable() == 40);
        // Files to delete still exist although the directory does not: later files would follow.
        CHECK(journal.ack(20) == QueueErrc::displaced);
        CHECK(journal.base() == 21);
        // Only if it is still empty.
        if (leaves_empty_one) CHECK(std::filesystem::remove(dir / "q"));
        std::filesystem::rename(dir / "away", dir / "q");
        append_over_a_roll(journal);
        last = journal.last();
        CHECK(has_all(journal, last));
        CHECK_FALSE(journal.ack(40));
    }
    auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->base() == 41);
    CHECK(has_all(*journal, last));
}

TEST_CASE("Journal whose directory was moved away is whole at its new place",
          "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    std::uint64_t last = 0;
    {
        posix::Journal journal = filled(dir / "q");
        std::filesystem::rename(dir / "q", dir / "away");
        CHECK(append_until_refused(journal) == QueueErrc::displaced);
        last = journal.last();
        CHECK(journal.ack(20) == QueueErrc::displaced);
    }
    auto journal = posix::Journal::open(dir / "away", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->report().truncated_bytes == 0);
    CHECK(journal->base() == 21);
    CHECK(has_all(*journal, last));
}

TEST_CASE("Journal does not change another journal that is now at the path of its directory",
          "[posix][journal][regression]") {
    const TemporaryDirectory dir;
    std::uint64_t last = 0;
    {
        posix::Journal journal = filled(dir / "q");
        std::filesystem::rename(dir / "q", dir / "away");
        // The same file names, and the same number of them.
        auto other = std::optional{filled(dir / "q")};
        CHECK(has_all(*other, 40));
        const auto before = contents(dir / "q");
        CHECK(journal.ack(30) == QueueErrc::displaced);
        CHECK(append_until_refused(journal) == QueueErrc::displaced);
        CHECK_FALSE(journal.failed());
        CHECK(journal.read(31).error() == QueueErrc::displaced);
        CHECK(journal.commit() == QueueErrc::displaced);
        last = journal.last();
        CHECK(contents(dir / "q") == before);
        append_over_a_roll(*other);
        CHECK_FALSE(other->ack(30));
        CHECK(has_all(*other, other->last()));
    }
    for (const char* const name : {"q", "away"}) {
        auto journal = posix::Journal::open(dir / name, files_of_4k);
        INFO(name);
        REQUIRE(journal);
        CHECK(journal->base() == 31);
        CHECK(has_all(*journal, name[0] == 'q' ? journal->last() : last));
    }
}

TEST_CASE("Journal continues over the damaged header of a file that it has open",
          "[posix][journal][fault]") {
    // Before it makes the next file and deletes the first, it checks whether they are its own.
    // Damage, which the next opening reports, does not make it another journal.
    const TemporaryDirectory dir;
    posix::Journal journal = filled(dir / "q");
    for (const auto& entry : std::filesystem::directory_iterator{dir / "q"}) {
        if (entry.path().extension() != ".journal") continue;
        std::fstream file{entry.path(), std::ios::in | std::ios::out | std::ios::binary};
        file.seekp(40);
        file.put('\x5a');
    }
    const std::uint64_t bytes = journal.bytes();
    CHECK_FALSE(journal.ack(40));
    CHECK(journal.bytes() < bytes);
    append_over_a_roll(journal);
    CHECK(has_all(journal, journal.last()));
}

TEST_CASE("Journal whose directory is replaced by a copy of itself confirms nothing more",
          "[posix][journal][regression]") {
    // For example, a backup is restored while the program runs.
    const TemporaryDirectory dir;
    const Flush flush = GENERATE(Flush::each, Flush::group, Flush::none);
    JournalOptions options = files_of_4k;
    options.flush = flush;
    std::uint64_t confirmed = 0;
    {
        static_cast<void>(filled(dir / "q"));
        auto journal = posix::Journal::open(dir / "q", options);
        REQUIRE(journal);
        std::filesystem::copy(dir / "q", dir / "copy");
        REQUIRE(journal->append(as_bytes(text_for(41))));
        REQUIRE_FALSE(journal->commit());
        confirmed = 41;
        std::filesystem::rename(dir / "q", dir / "away");
        std::filesystem::rename(dir / "copy", dir / "q");
        const auto before = contents(dir / "q");
        for (int i = 0; i < 200; ++i) {
            const auto number = journal->append(as_bytes(text_for(journal->last() + 1)));
            const std::error_code error = number ? journal->commit() : number.error();
            REQUIRE(error == QueueErrc::displaced);
            REQUIRE(journal->durable() == confirmed);
        }
        CHECK(journal->ack(30) == QueueErrc::displaced);
        CHECK_FALSE(journal->failed());
        CHECK(contents(dir / "q") == before);
        const std::string message = journal->explain(QueueErrc::displaced).message();
        CHECK(message.find(dir / "q") == 0);
        CHECK(message.find("move the directory back") != std::string::npos);
    }
    for (const char* const name : {"q", "away"}) {
        auto journal = posix::Journal::open(dir / name, files_of_4k);
        INFO(name);
        REQUIRE(journal);
        CHECK(journal->last() >= (name[0] == 'q' ? 40 : confirmed));
        CHECK(has_all(*journal, journal->last()));
    }
}

TEST_CASE("Journal whose directory is restored continues, and confirms operations taken meanwhile",
          "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    std::uint64_t last = 0;
    {
        posix::Journal journal = filled(dir / "q");
        std::filesystem::rename(dir / "q", dir / "away");
        std::filesystem::copy(dir / "away", dir / "q");
        REQUIRE(journal.append(as_bytes(text_for(41))));
        CHECK(journal.commit() == QueueErrc::displaced);
        std::filesystem::remove_all(dir / "q");
        std::filesystem::rename(dir / "away", dir / "q");
        CHECK_FALSE(journal.commit());
        CHECK(journal.durable() == 41);
        append_over_a_roll(journal);
        last = journal.last();
    }
    auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(has_all(*journal, last));
}

TEST_CASE("Journal that was opened by a relative path stays where it is",
          "[posix][journal][regression]") {
    // For example, a daemon changes to the root directory.
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        if (::chdir(dir.path().c_str()) != 0) return false;
        const char* const path = "./q";
        auto journal = posix::Journal::open(path, files_of_4k);
        if (!journal || ::chdir("/") != 0) return false;
        for (std::uint64_t n = 1; n <= 200; ++n) {
            if (!journal->append(as_bytes(text_for(n))) || journal->commit()) return false;
        }
        const auto first = journal->read(1);
        return first && as_text(*first) == text_for(1) && !journal->ack(150) &&
               journal->explain({}).where == dir / "./q";
    }));
    auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->base() == 151);
    CHECK(has_all(*journal, 200));
}

TEST_CASE("Journal whose lock file is deleted rejects a second opening, and loses no operation",
          "[posix][journal][regression]") {
    const TemporaryDirectory dir;
    std::uint64_t last = 0;
    {
        posix::Journal journal = filled(dir / "q");
        for (int i = 0; i < 50; ++i) {
            std::filesystem::remove(dir / "q/lock");
            const auto second = posix::Journal::open(dir / "q", files_of_4k);
            REQUIRE_FALSE(second);
            REQUIRE(second.error().code == QueueErrc::already_locked);
            REQUIRE(second.error().where.ends_with(".journal"));
            REQUIRE(journal.append(as_bytes(text_for(journal.last() + 1))));
            REQUIRE_FALSE(journal.commit());
        }
        last = journal.last();
        CHECK(last == 90);
    }
    auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(has_all(*journal, last));
}
