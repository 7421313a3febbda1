// SPDX-License-Identifier: MIT
// Goal: a journal without write permission is rejected with its path, and can still be
// inspected. Method: permissions removed from directories and files, in a child for which they
// apply.
#include <belay/journal/journal_inspect.hpp>
#include <belay/posix/journal.hpp>

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/journal/small_files.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

using namespace belay;
using belay_test::can_drop_privileges;
using belay_test::files_of_4k;
using belay_test::in_child_without_privileges;
using belay_test::TemporaryDirectory;
using belay_test::text_for;

namespace {

constexpr std::uint64_t count = 40;

bool set_mode(const std::string& path, mode_t mode) { return ::chmod(path.c_str(), mode) == 0; }

/// A directory that all users may enter, with a journal of several files that all users may write.
class OpenToAll {
public:
    OpenToAll() {
        REQUIRE(set_mode(dir_.path(), 0777));
        {
            auto journal = posix::Journal::open(path(), files_of_4k);
            REQUIRE(journal);
            for (std::uint64_t n = 1; n <= count; ++n) {
                REQUIRE(journal->append(as_bytes(text_for(n))));
            }
            REQUIRE_FALSE(journal->commit());
        }
        set_modes(0777, 0666);
        REQUIRE(files().size() >= 3);
    }
    OpenToAll(const OpenToAll&) = delete;
    OpenToAll& operator=(const OpenToAll&) = delete;
    ~OpenToAll() { static_cast<void>(set_mode(path(), 0777)); }

    [[nodiscard]] std::string path() const { return dir_ / "q"; }
    [[nodiscard]] std::string lock() const { return path() + "/lock"; }
    /// The paths of the segments, in order.
    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> paths;
        for (std::uint64_t i = 1;; ++i) {
            paths.push_back(path() + '/' + journal_format::segment_name(i));
            if (::access(paths.back().c_str(), F_OK) != 0) break;
        }
        paths.pop_back();
        return paths;
    }
    void set_modes(mode_t directory, mode_t file) const {
        REQUIRE(set_mode(path(), 0777));
        for (const std::string& name : files()) REQUIRE(set_mode(name, file));
        REQUIRE(set_mode(lock(), file));
        REQUIRE(set_mode(path(), directory));
    }
    [[nodiscard]] std::string contents() const {
        std::string all;
        for (const std::string& name : files()) {
            std::ifstream in{name, std::ios::binary};
            all += name + std::string{std::istreambuf_iterator<char>{in}, {}};
        }
        return all;
    }

private:
    TemporaryDirectory dir_;
};

/// Whether opening is rejected for lack of permission, and names this path.
bool refused_at(const std::string& journal, const std::string& path) {
    const auto opened = posix::Journal::open(journal, files_of_4k);
    return !opened && opened.error().code == std::errc::permission_denied &&
           opened.error().where == path &&
           opened.error().message().find("allow this user") != std::string::npos;
}

/// Whether all operations can be inspected without opening the journal.
bool can_be_inspected(const std::string& path) {
    posix::Files files;
    std::uint64_t next = 1;
    bool right = true;
    const auto observed =
        tool::inspect_journal(files, path, [&](std::uint64_t number, BytesView body) {
            right = right && number == next++ && as_text(body) == text_for(number);
        });
    return observed && right && next == count + 1 && observed->operations == count &&
           observed->damages.empty();
}

/// Whether the inspection names this file and continues with the others.
bool is_called_unreadable(const std::string& journal, const std::string& file) {
    posix::Files files;
    std::uint64_t read = 0;
    const auto observed =
        tool::inspect_journal(files, journal, [&](std::uint64_t number, BytesView body) {
            read += as_text(body) == text_for(number) ? 1U : 0U;
        });
    return observed && read > count / 3 && read < count && observed->damages.front().path == file &&
           observed->damages.front().what.starts_with("cannot be read: ");
}

}  // namespace

TEST_CASE("Journal::open in a directory without permission reports it", "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    REQUIRE(set_mode(dir.path(), 0555));
    if (!can_drop_privileges(dir.path())) return;
    CHECK(in_child_without_privileges([&] { return refused_at(dir / "q", dir / "q"); }));
}

TEST_CASE("Journal::open needs no right to list the directory above its own",
          "[posix][journal][fault][regression]") {
    const TemporaryDirectory dir;
    const std::string path = dir / "q";
    REQUIRE(::mkdir(path.c_str(), 0777) == 0);
    REQUIRE(set_mode(path, 0777));
    REQUIRE(set_mode(dir.path(), 0711));
    if (!can_drop_privileges(path)) return;
    CHECK(in_child_without_privileges([&] {
        // Until a first operation, each opening completes the creation.
        const bool created = posix::Journal::open(path, files_of_4k).has_value();
        const bool completed = posix::Journal::open(path, files_of_4k).has_value();
        return created && completed;
    }));
}

TEST_CASE("A journal that may only be read cannot be opened, and can be inspected",
          "[posix][journal][fault]") {
    const OpenToAll journal;
    if (!can_drop_privileges(journal.path())) return;
    journal.set_modes(0555, 0444);
    const std::string before = journal.contents();
    CHECK(in_child_without_privileges([&] { return refused_at(journal.path(), journal.lock()); }));
    CHECK(in_child_without_privileges([&] { return can_be_inspected(journal.path()); }));
    CHECK(journal.contents() == before);
    // With its permissions restored it opens unchanged.
    journal.set_modes(0777, 0666);
    CHECK(in_child_without_privileges([&] {
        auto opened = posix::Journal::open(journal.path(), files_of_4k);
        return opened && opened->last() == count && opened->report().truncated_bytes == 0;
    }));
}

TEST_CASE("Journal::open reports the file that it may not write or read",
          "[posix][journal][fault]") {
    const OpenToAll journal;
    if (!can_drop_privileges(journal.path())) return;
    const std::vector<std::string> files = journal.files();
    for (const std::string& path : {files.front(), files[1], files.back()}) {
        for (const mode_t mode : {mode_t{0444}, mode_t{0}}) {
            INFO(path << ", rights " << mode);
            journal.set_modes(0777, 0666);
            const std::string before = journal.contents();
            REQUIRE(set_mode(path, mode));
            CHECK(in_child_without_privileges([&] { return refused_at(journal.path(), path); }));
            CHECK(in_child_without_privileges([&] {
                return mode != 0 ? can_be_inspected(journal.path())
                                 : is_called_unreadable(journal.path(), path);
            }));
            // The files that were opened before it are unchanged.
            REQUIRE(set_mode(path, 0666));
            CHECK(journal.contents() == before);
        }
    }
}

TEST_CASE(
    "Journal continues without permission to make and delete files, until it needs this permission",
    "[posix][journal][fault]") {
    const TemporaryDirectory dir;
    REQUIRE(set_mode(dir.path(), 0777));
    if (!can_drop_privileges(dir.path())) return;
    CHECK(in_child_without_privileges([&] {
        auto journal = posix::Journal::open(dir / "q", files_of_4k);
        if (!journal) return false;
        const auto append = [&] {
            return journal->append(as_bytes(text_for(journal->last() + 1)));
        };
        while (journal->last() < count) {
            if (!append()) return false;
        }
        if (journal->commit() || !set_mode(dir / "q", 0555)) return false;
        Result<std::uint64_t> number = append();
        while (number) number = append();
        const std::uint64_t last = journal->last();
        if (number.error() != std::errc::permission_denied || journal->failed()) return false;
        // Accepted operations can be made durable, read, and acknowledged. Only deleting must wait.
        if (journal->commit() || journal->durable() != last) return false;
        for (std::uint64_t n = 1; n <= last; ++n) {
            const auto body = journal->read(n);
            if (!body || as_text(*body) != text_for(n)) return false;
        }
        if (journal->ack(count) != std::errc::permission_denied) return false;
        const std::size_t files = journal->undeleted_files();
        if (journal->base() != count + 1 || journal->failed() || files == 0) return false;
        if (!set_mode(dir / "q", 0777) || journal->ack(count)) return false;
        // The next segment needs a new file, after which the others are deleted.
        number = append();
        return number && *number == last + 1 && !journal->commit() &&
               journal->undeleted_files() < files;
    }));
    CHECK(in_child_without_privileges([&] {
        auto journal = posix::Journal::open(dir / "q", files_of_4k);
        return journal && journal->base() == count + 1 && journal->last() > count + 1 &&
               as_text(*journal->read(journal->last())) == text_for(journal->last());
    }));
}
