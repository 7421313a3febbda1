// SPDX-License-Identifier: MIT
// Goal: on a real full disk a journal rejects operations, loses none, and frees space as it is
// drained. Method: a small file system in memory; if it cannot be mounted, the test is skipped.
#include <belay/posix/journal.hpp>

#include <sys/mount.h>
#include <fstream>

#include "support/catch.hpp"
#include "support/journal/small_files.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

using namespace belay;
using belay_test::files_of_64k;
using belay_test::TemporaryDirectory;
using belay_test::text_for;

namespace {

/// A file system of 512 KiB, unmounted at the end of the scope.
class SmallDisk {
public:
    SmallDisk() { mounted_ = ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=512k") == 0; }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    ~SmallDisk() {
        if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
    }
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] std::string operator/(const std::string& name) const { return dir_ / name; }

private:
    TemporaryDirectory dir_;
    bool mounted_ = false;
};

/// Appends and syncs until there is no space. Returns the last durable number.
std::uint64_t fill(posix::Journal& journal) {
    for (;;) {
        const auto number = journal.append(as_bytes(text_for(journal.last() + 1)));
        const std::error_code error = number ? journal.commit() : number.error();
        if (!error) continue;
        CHECK(error == std::errc::no_space_on_device);
        return journal.durable();
    }
}

void check_has_all(posix::Journal& journal, std::uint64_t durable) {
    REQUIRE(journal.last() >= durable);
    for (std::uint64_t n = journal.base(); n <= journal.last(); ++n) {
        REQUIRE(as_text(*journal.read(n)) == text_for(n));
    }
}

}  // namespace

TEST_CASE("Journal on a full file system loses no operation, and frees space by acknowledging",
          "[posix][full_disk][fault]") {
    const SmallDisk disk;
    if (!disk.mounted()) {
        WARN("SKIP: needs the right to mount a file system");
        return;
    }
    std::uint64_t durable = 0;
    {
        auto journal = posix::Journal::open(disk / "q", files_of_64k);
        REQUIRE(journal);
        durable = fill(*journal);
        CHECK(durable > 1000);
        CHECK_FALSE(journal->failed());
        check_has_all(*journal, durable);
    }
    // Other files take the rest of the space.
    std::ofstream other{disk / "other"};
    while (other << std::string(4096, 'y') << std::flush) {
    }
    for (int run = 0; run < 3; ++run) {
        auto journal = posix::Journal::open(disk / "q", files_of_64k);
        REQUIRE(journal);
        check_has_all(*journal, durable);
    }
    auto journal = posix::Journal::open(disk / "q", files_of_64k);
    REQUIRE(journal);
    REQUIRE_FALSE(journal->ack(journal->last() / 2));
    REQUIRE_FALSE(journal->commit());
    const std::uint64_t before = journal->last();
    CHECK(fill(*journal) > before);
    check_has_all(*journal, before + 1);
}
