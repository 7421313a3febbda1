// SPDX-License-Identifier: MIT
// Goal: sim::Disk keeps synced data and may lose all other data. Method: the results of many
// crashes.
#include <belay/sim/disk.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;
using sim::Disk;

namespace {

Disk::File make(Disk& disk, const std::string& path) {
    auto file = disk.open(path, OpenMode::replace);
    REQUIRE(file);
    return std::move(*file);
}
std::string text_of(const Disk& disk, const std::string& path) {
    return std::string{as_text(disk.contents(path))};
}
/// Returns the sorted names of a list, whose order does not count.
auto sorted(const Result<std::vector<std::string>>& list) {
    std::vector<std::string> names = list.value();
    std::sort(names.begin(), names.end());
    return names;
}
Random seeded(std::uint64_t seed) { return Random{Seed{seed}}; }

/// A DiskInode without a list of the changed sectors: a sync and a crash visit all of them.
struct PlainInode {
    Bytes now{}, durable{};
    std::vector<bool> dirty{};
    std::vector<std::size_t> sizes{};

    void resize(std::size_t bytes) {
        const bool shrinks = bytes < now.size();
        if (bytes != now.size()) sizes.push_back(bytes);
        now.resize(bytes);
        dirty.resize((bytes + 511) / 512, true);
        if (shrinks && bytes % 512 != 0) dirty.back() = true;
    }
    void write(std::size_t offset, BytesView from) {
        for (std::size_t i = std::max(offset, now.size()) + 1; i <= offset + from.size(); ++i) {
            if (i % 4096 == 0 || i == offset + from.size()) resize(i);
        }
        for (std::size_t i = offset; i < offset + from.size(); ++i) {
            now[i] = from[i - offset];
            dirty[i / 512] = true;
        }
    }
    void sync() {
        durable.resize(now.size());
        for (std::size_t i = 0; i < now.size(); ++i) {
            if (dirty[i / 512]) durable[i] = now[i];
        }
        dirty.assign(dirty.size(), false);
        sizes.clear();
    }
    void crash(Random& bits) {
        if (!sizes.empty()) {
            const std::uint64_t draw = bits();
            if ((draw & 1) == 0) sizes.resize(static_cast<std::size_t>(draw / 2) % sizes.size());
            for (const std::size_t size : sizes) durable.resize(size);
        }
        const bool has_many = std::count(dirty.begin(), dirty.end(), true) > 1;
        const std::uint64_t all = has_many ? bits() % 16 : 2;
        for (std::size_t s = 0; s < dirty.size(); ++s) {
            if (dirty[s]) settle(s, all < 2 ? all : bits());
        }
        now = durable;
        sizes.clear();
        dirty.assign((now.size() + 511) / 512, false);
    }
    void settle(std::size_t sector, std::uint64_t draw) {
        const std::size_t begin = sector * 512;
        const std::size_t end = std::min({begin + 512, now.size(), durable.size()});
        const std::size_t cut = begin + (draw >> 8) % 512;
        for (std::size_t i = begin; i < end; ++i) {
            const std::byte noise = static_cast<std::byte>(draw >> (i % 56));
            if (durable[i] == now[i] || draw % 5 == 0) continue;
            const bool kept =
                draw % 5 == 1 || (draw % 5 == 2 && i < cut) || (draw % 5 == 3 && i >= cut);
            if (kept || draw % 5 == 4) durable[i] = kept ? now[i] : noise;
        }
    }
};

}  // namespace

TEST_CASE("Disk::File reads the written bytes, short only at the end", "[sim][disk][unit]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(3, as_bytes("hello")));
    CHECK(*file.size() == 8);
    std::byte into[16];
    CHECK(*file.read(5, into) == 3);
    CHECK(as_text({into, 3}) == "llo");
    CHECK(*file.read(8, into) == 0);
    CHECK(text_of(disk, "d/a") == std::string("\0\0\0hello", 8));
    CHECK_FALSE(disk.open("d/b", OpenMode::read));
    CHECK(*disk.list("d") == std::vector<std::string>{"a"});
    CHECK_FALSE(disk.rename("d/a", "d/b"));
    CHECK_FALSE(disk.remove("d/b"));
    CHECK(disk.list("d")->empty());
}

TEST_CASE("Disk accepts no path with a null, as every file system", "[sim][disk][fault]") {
    Disk disk;
    static_cast<void>(make(disk, "kept"));
    const std::string path{"kept\0x", 6};
    const auto invalid = std::errc::invalid_argument;
    CHECK(disk.open(path, OpenMode::replace).error() == invalid);
    CHECK(disk.open(path, OpenMode::read).error() == invalid);
    CHECK(disk.lock(path).error() == invalid);
    CHECK(disk.rename("kept", path) == invalid);
    CHECK(disk.create_directory(path) == invalid);
    CHECK(disk.identity("kept"));
}

TEST_CASE("Disk::crash keeps synced data", "[sim][disk][property]") {
    CHECK(rc::check("synced bytes and names survive every crash", [](std::uint64_t seed) {
        Disk disk;
        Random bits = seeded(seed);
        Disk::File file = make(disk, "d/a");
        static_cast<void>(file.write(0, as_bytes("synced")));
        static_cast<void>(file.sync());
        static_cast<void>(disk.sync_directory("d"));
        static_cast<void>(file.write(6, as_bytes(" and not")));
        disk.crash(bits);
        RC_ASSERT(text_of(disk, "d/a").substr(0, 6) == "synced");
    }));
}

TEST_CASE("Disk::crash loses unsynced data in every possible way", "[sim][disk][unit]") {
    std::set<std::string> observed;
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        Disk disk;
        Random bits = seeded(seed);
        Disk::File file = make(disk, "d/a");
        static_cast<void>(file.write(0, as_bytes("aaaaaaaa")));
        static_cast<void>(file.sync());
        static_cast<void>(disk.sync_directory("d"));
        static_cast<void>(file.write(0, as_bytes("bbbbbbbb")));
        static_cast<void>(file.write(1000, as_bytes("c")));
        disk.crash(bits);
        observed.insert(text_of(disk, "d/a").substr(0, 8));
        sizes.insert(text_of(disk, "d/a").size());
    }
    CHECK(observed.contains("aaaaaaaa"));
    CHECK(observed.contains("bbbbbbbb"));
    CHECK(observed.size() > 10);  // torn at several places, and noise
    CHECK(sizes == std::set<std::size_t>{8, 1001});
}

TEST_CASE("Disk::crash leaves any size that the file had since its last sync",
          "[sim][disk][regression]") {
    using Sizes = std::set<std::size_t>;
    const auto left_after = [](std::size_t synced, auto change) {
        Sizes left;
        for (std::uint64_t seed = 1; seed <= 200; ++seed) {
            Disk disk;
            disk.put("a", Bytes(synced, std::byte{'o'}));
            Disk::File file = disk.open("a", OpenMode::write).value();
            change(file);
            disk.crash(seeded(seed));
            const Bytes bytes = disk.contents("a");
            left.insert(bytes.size());
            // A file that was emptied has no old bytes if its size is a later one. Noise may
            // be equal.
            if (synced == 40 && bytes.size() == 60) {
                CHECK(std::count(bytes.begin() + 20, bytes.end(), std::byte{'o'}) < 20);
            }
        }
        return left;
    };
    const auto write = [](Disk::File& file, std::uint64_t at, std::size_t count) {
        CHECK_FALSE(file.write(at, Bytes(count, std::byte{'n'})));
    };
    // A configuration file that is written anew.
    CHECK(left_after(40, [&](Disk::File& file) {
              CHECK_FALSE(file.resize(0));
              write(file, 0, 60);
          }) == Sizes{0, 40, 60});
    // A log: also inside a record that crosses pages.
    CHECK(left_after(1'000, [&](Disk::File& file) {
              for (const std::uint64_t at : {1'000U, 1'300U, 1'600U}) write(file, at, 300);
          }) == Sizes{1'000, 1'300, 1'600, 1'900});
    CHECK(left_after(1'000, [&](Disk::File& file) { write(file, 1'000, 8'000); }) ==
          Sizes{1'000, 4'096, 8'192, 9'000});
    CHECK(left_after(1'000, [&](Disk::File& file) { write(file, 9'000, 10); }) ==
          Sizes{1'000, 9'010});
    CHECK(left_after(1'000, [&](Disk::File& file) {
              write(file, 1'000, 300);
              CHECK_FALSE(file.sync());
              CHECK_FALSE(file.preallocate(100'000));
          }) == Sizes{1'300, 100'000});
}

TEST_CASE("Disk::crash leaves a long file as a whole, old or new, in some outcomes",
          "[sim][disk][regression]") {
    const Bytes old(65'536, std::byte{'o'}), written(65'536, std::byte{'n'});
    int old_ones = 0, new_ones = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Disk disk;
        disk.put("a", old);
        CHECK_FALSE(disk.open("a", OpenMode::write)->write(0, written));
        disk.crash(seeded(seed));
        old_ones += disk.contents("a") == old ? 1 : 0;
        new_ones += disk.contents("a") == written ? 1 : 0;
    }
    CHECK(old_ones > 5);
    CHECK(new_ones > 5);
}

TEST_CASE("Disk::crash loses sectors independently of each other", "[sim][disk][unit]") {
    int only_second = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Disk disk;
        Random bits = seeded(seed);
        Disk::File file = make(disk, "d/a");
        static_cast<void>(file.preallocate(1024));
        static_cast<void>(file.sync());
        static_cast<void>(disk.sync_directory("d"));
        static_cast<void>(file.write(0, Bytes(1024, std::byte{'x'})));
        disk.crash(bits);
        const std::string text = text_of(disk, "d/a");
        if (text[0] == '\0' && text[511] == '\0' && text[512] == 'x' && text[1023] == 'x') {
            ++only_second;
        }
    }
    CHECK(only_second > 0);
}

TEST_CASE("Disk::crash may lose names until their directory is synced", "[sim][disk][unit]") {
    std::set<std::vector<std::string>> observed;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Disk disk;
        Random bits = seeded(seed);
        Disk::File a = make(disk, "d/a");
        static_cast<void>(a.sync());
        static_cast<void>(disk.sync_directory("d"));
        static_cast<void>(disk.rename("d/a", "d/b"));
        Disk::File c = make(disk, "d/c");
        static_cast<void>(c.sync());
        disk.crash(bits);
        observed.insert(sorted(disk.list("d")));
    }
    CHECK(observed == std::set<std::vector<std::string>>{{"a"}, {"b"}, {"a", "c"}, {"b", "c"}});
}

TEST_CASE("Disk::crash may lose a directory, and all in it, until its parent is synced",
          "[sim][disk][unit]") {
    using Names = std::vector<std::string>;
    // Returns the files that are left after crashes after the syncs of these directories.
    const auto left_after = [](const Names& synced) {
        std::set<Names> observed;
        for (std::uint64_t seed = 1; seed <= 100; ++seed) {
            Disk disk;
            Random bits = seeded(seed);
            CHECK_FALSE(disk.create_directory("p"));
            CHECK_FALSE(disk.create_directory("p/d/"));
            for (const char* const name : {"p/d/in", "p/d-file"}) {
                CHECK_FALSE(make(disk, name).sync());
            }
            CHECK_FALSE(disk.create_directory("p/d"));  // it exists already
            for (const std::string& path : synced) CHECK_FALSE(disk.sync_directory(path));
            disk.crash(bits);
            observed.insert(sorted(disk.list("p")));
            // The remaining files are durable.
            const Disk::Image image = disk.image();
            disk.crash(bits);
            CHECK(disk.image() == image);
        }
        return observed;
    };
    CHECK(left_after({".", "p", "p/d"}) == std::set<Names>{{"d-file", "d/in"}});
    CHECK(left_after({"p", "p/d"}) == std::set<Names>{{}, {"d-file", "d/in"}});
    CHECK(left_after({".", "p/d"}) ==
          std::set<Names>{{}, {"d-file"}, {"d/in"}, {"d-file", "d/in"}});
}

TEST_CASE("Disk::put writes a file durably, also into a directory that may be lost",
          "[sim][disk][regression]") {
    std::set<std::vector<std::string>> observed;
    std::set<std::size_t> beside;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Disk disk;
        for (const char* const name : {"p", "p/d", "p/d-other", "q"}) {
            CHECK_FALSE(disk.create_directory(name));
        }
        for (const char* const name : {"p/d-other/a", "q/a"}) {
            CHECK_FALSE(make(disk, name).sync());
        }
        CHECK_FALSE(disk.sync_directory("p/d-other"));
        CHECK_FALSE(disk.sync_directory("q"));
        disk.put("p/d/put", Bytes(3));
        Random bits = seeded(seed);
        disk.crash(bits);
        REQUIRE(disk.contents("p/d/put").size() == 3);
        observed.insert(sorted(disk.list("p")));
        beside.insert(disk.list("q")->size());
    }
    // Other directories are unchanged.
    CHECK(observed == std::set<std::vector<std::string>>{{"d/put"}, {"d-other/a", "d/put"}});
    CHECK(beside == std::set<std::size_t>{0, 1});
}

TEST_CASE("Disk::put writes a file durably, after any change to its name",
          "[sim][disk][regression]") {
    std::set<std::vector<std::string>> observed;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Disk disk;
        for (const char* const name : {"d/moved-away", "d/moved-here", "d/removed"}) {
            disk.put(name, Bytes(1));
        }
        CHECK_FALSE(disk.remove("d/removed"));
        CHECK_FALSE(disk.rename("d/moved-away", "d/other"));
        CHECK_FALSE(disk.rename("d/moved-here", "d/there"));
        CHECK_FALSE(make(disk, "d/made").sync());
        for (const char* const name : {"d/moved-away", "d/there", "d/removed", "d/made"}) {
            disk.put(name, Bytes(3));
        }
        Random bits = seeded(seed);
        disk.crash(bits);
        for (const char* const name : {"d/moved-away", "d/there", "d/removed", "d/made"}) {
            REQUIRE(disk.contents(name).size() == 3);
        }
        std::vector<std::string> others = sorted(disk.list("d"));
        std::erase_if(others,
                      [&](const auto& name) { return disk.contents("d/" + name).size() == 3; });
        observed.insert(std::move(others));
    }
    CHECK(observed == std::set<std::vector<std::string>>{
                          {}, {"moved-here"}, {"other"}, {"moved-here", "other"}});
}

TEST_CASE("Disk::create_directory has no effect on a directory that has files",
          "[sim][disk][unit]") {
    Disk disk;
    disk.put("d/a", Bytes(3));
    CHECK_FALSE(disk.create_directory("d"));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Random bits = seeded(seed);
        disk.crash(bits);
        CHECK(disk.list("d")->size() == 1);
    }
    // Without a new directory there is nothing to lose. A failed call makes none.
    disk.fail_at(disk.operations() + 1, std::make_error_code(std::errc::no_space_on_device));
    CHECK(disk.create_directory("e") == std::errc::no_space_on_device);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CHECK_FALSE(make(disk, "e/" + std::to_string(seed)).sync());
        CHECK_FALSE(disk.sync_directory("e"));
        Random bits = seeded(seed);
        disk.crash(bits);
        CHECK(disk.list("e")->size() == seed);
    }
    // A new disk has no directories.
    std::set<std::size_t> observed;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        disk.restore({});
        CHECK_FALSE(disk.create_directory("d"));
        CHECK_FALSE(make(disk, "d/a").sync());
        CHECK_FALSE(disk.sync_directory("d"));
        Random bits = seeded(seed);
        disk.crash(bits);
        observed.insert(disk.list("d")->size());
    }
    CHECK(observed == std::set<std::size_t>{0, 1});
}

TEST_CASE("Disk::kill keeps written data, and ends the process", "[sim][disk][unit]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(0, as_bytes("written")));
    {
        auto lock = disk.lock("d/lock");
        REQUIRE(lock);
        CHECK(disk.lock("d/lock").error() == QueueErrc::already_locked);
        disk.kill();
        // The dead process's lock is not released twice.
        auto next = disk.lock("d/lock");
        REQUIRE(next);
        { const Disk::Lock gone = std::move(*lock); }
        CHECK(disk.lock("d/lock").error() == QueueErrc::already_locked);
    }
    CHECK(disk.lock("d/lock"));
    CHECK(text_of(disk, "d/a") == "written");
    CHECK(file.write(0, as_bytes("x")) == std::errc::io_error);
    CHECK(file.sync() == std::errc::io_error);
    CHECK_FALSE(file.size());
    std::byte into[1];
    CHECK_FALSE(file.read(0, into));
}

TEST_CASE("Disk::fail_at fails one operation, and half a write is done", "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    disk.fail_at(disk.operations() + 2, std::make_error_code(std::errc::no_space_on_device));
    CHECK_FALSE(file.write(0, as_bytes("1234")));
    CHECK(file.write(0, as_bytes("abcd")) == std::errc::no_space_on_device);
    CHECK(text_of(disk, "d/a") == "ab34");
    CHECK_FALSE(file.write(0, as_bytes("wxyz")));
}

TEST_CASE("Disk::fail_read_at fails one read of any kind", "[sim][disk][fault]") {
    sim::Disk disk;
    disk.put("f", to_bytes("hello"));
    auto file = disk.open("f", OpenMode::write);
    REQUIRE(file);
    Bytes into(5);
    const std::error_code error = std::make_error_code(std::errc::io_error);
    const auto read = [&](int kind) -> std::error_code {
        switch (kind) {
            case 0:
                return disk.open("f", OpenMode::read).error();
            case 1:
                return file->read(0, into).error();
            case 2:
                return file->size().error();
            case 3:
                return disk.list("").error();
            default:
                return disk.identity("f").error();
        }
    };
    for (int kind = 0; kind < 5; ++kind) {
        disk.fail_read_at(disk.reads() + 2, error);
        INFO("kind " << kind);
        CHECK_FALSE(read(kind));
        // A write is no read.
        CHECK_FALSE(file->write(0, as_bytes("hello")));
        CHECK(read(kind) == error);
        CHECK_FALSE(read(kind));
    }
    disk.fail_read_at(disk.reads() + 1, error);
    disk.mend();
    CHECK_FALSE(read(1));
    disk.fail_read_at(disk.reads() + 1, error);
    disk.kill();
    CHECK(disk.list(""));
}

TEST_CASE("Disk::fail_at plans a fault in addition to others of its kind",
          "[sim][disk][regression]") {
    const std::error_code first = std::make_error_code(std::errc::io_error);
    const std::error_code second = std::make_error_code(std::errc::no_space_on_device);
    Disk disk;
    Disk::File file = make(disk, "d/a");
    const std::uint64_t before = disk.operations();
    disk.fail_at(before + 3, first);
    disk.fail_at(before + 1, second);
    CHECK(file.sync() == second);
    CHECK_FALSE(file.sync());
    CHECK(file.sync() == first);
    disk.fail_at(before + 4, first);
    disk.fail_at(before + 4, second);  // the same call
    CHECK(file.sync() == second);
    disk.fail_at(before + 5, first);
    disk.fail_at(0, {});
    CHECK_FALSE(file.sync());
    disk.fail_at(disk.operations() + 1, first);
    disk.fail_at(disk.operations() + 2, second);
    CHECK(file.sync() == first);
    disk.crash(seeded(1));
    CHECK(make(disk, "d/b").sync() == std::error_code{});
}

TEST_CASE("Disk::fail_after lets one operation of any kind take effect, and fail",
          "[sim][disk][fault]") {
    const std::error_code error = std::make_error_code(std::errc::io_error);
    Disk disk;
    Disk::File file = make(disk, "d/a");
    const auto next_fails = [&] { disk.fail_after(disk.operations() + 1, error); };
    next_fails();
    std::size_t written = 0;
    CHECK(file.write(0, as_bytes("1234"), &written) == error);
    CHECK(written == 4);
    CHECK(text_of(disk, "d/a") == "1234");
    next_fails();
    CHECK(file.resize(3) == error);
    CHECK(text_of(disk, "d/a") == "123");
    next_fails();
    CHECK(file.sync() == error);
    next_fails();
    CHECK(disk.rename("d/a", "d/b") == error);
    CHECK(text_of(disk, "d/b") == "123");
    next_fails();
    CHECK(disk.open("d/c", OpenMode::replace).error() == error);
    CHECK(disk.identity("d/c"));
    next_fails();
    CHECK(disk.remove("d/c") == error);
    CHECK_FALSE(disk.identity("d/c"));
    next_fails();
    CHECK(disk.create_directory("e") == error);
    CHECK(disk.has_directory("e"));
    next_fails();
    CHECK(disk.sync_directory("d") == error);
    CHECK_FALSE(file.write(0, as_bytes("abc")));  // one operation only
    // The syncs took effect: everything else can be lost.
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        disk.crash(Random{Seed{seed}});
        REQUIRE(disk.identity("d/b"));
        CHECK_FALSE(disk.identity("d/a"));
        CHECK(disk.contents("d/b").size() == 3);
    }
}

TEST_CASE("Disk::fail_open_at fails one call that needs a descriptor", "[sim][disk][fault]") {
    const std::error_code error = std::make_error_code(std::errc::too_many_files_open);
    Disk disk;
    disk.put("d/a", to_bytes("old"));
    auto file = disk.open("d/a", OpenMode::write);
    REQUIRE(file);
    const auto open = [&](int kind) -> std::error_code {
        switch (kind) {
            case 0:
                return disk.open("d/a", OpenMode::read).error();
            case 1:
                return disk.list("d").error();
            case 2:
                return disk.sync_directory("d");
            case 3:
                return disk.lock("d/LOCK").error();
            default:
                return disk.lock("d/a").error();
        }
    };
    for (int kind = 0; kind < 5; ++kind) {
        disk.fail_open_at(disk.opens() + 1, error);
        INFO("kind " << kind);
        // These need no descriptor.
        CHECK(disk.size("d/a"));
        CHECK(disk.identity("d/a"));
        CHECK_FALSE(file->write(0, as_bytes("new")));
        CHECK_FALSE(file->sync());
        CHECK(open(kind) == error);
        CHECK_FALSE(disk.identity("d/LOCK"));
        if (kind != 3) CHECK_FALSE(open(kind));
    }
    disk.fail_open_at(disk.opens() + 1, error);
    CHECK(disk.open("d/a", OpenMode::replace).error() == error);
    CHECK_FALSE(disk.identity("d/a"));  // posix::Files removes the former file first
    CHECK(disk.open("d/a", OpenMode::replace));
}

TEST_CASE("Disk::exhaust_descriptors opens nothing, also for the next process",
          "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "a");
    disk.exhaust_descriptors(true);
    CHECK(disk.open("a", OpenMode::read).error() == std::errc::too_many_files_open);
    CHECK_FALSE(file.write(0, as_bytes("1")));
    disk.kill();
    CHECK(disk.list("").error() == std::errc::too_many_files_open);
    disk.exhaust_descriptors(false);
    CHECK(disk.list(""));
}

TEST_CASE("Disk::open_files counts the files that living processes have open",
          "[sim][disk][unit]") {
    Disk disk;
    CHECK(disk.open_files() == 0);
    {
        Disk::File file = make(disk, "a");
        const auto lock = disk.lock("LOCK");
        CHECK(disk.open_files() == 2);
        Disk::File other = make(disk, "b");
        other = std::move(file);
        CHECK(disk.open_files() == 2);
        const Disk::File moved{std::move(other)};
        CHECK_FALSE(disk.remove("a"));
        CHECK(disk.open_files() == 2);
        disk.kill();
        CHECK(disk.open_files() == 0);
        const Disk::File next = make(disk, "c");
        CHECK(disk.open_files() == 1);
    }
    CHECK(disk.open_files() == 0);
}

TEST_CASE("A failed sync drops the unsynced data, as real systems do", "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(0, as_bytes("lost")));
    CHECK_FALSE(file.preallocate(4));
    CHECK_FALSE(disk.sync_directory("d"));
    disk.fail_at(disk.operations() + 1, std::make_error_code(std::errc::io_error));
    CHECK(file.sync() == std::errc::io_error);
    CHECK_FALSE(file.sync());  // the second sync finds no unsynced data
    CHECK(text_of(disk, "d/a") == "lost");
    Random bits = seeded(1);
    disk.crash(bits);
    CHECK(text_of(disk, "d/a") != "lost");
}

TEST_CASE("Disk::halt_at stops everything from one operation on", "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(disk.sync_directory("d"));
    disk.halt_at(disk.operations() + 1);
    CHECK(file.write(0, as_bytes("x")) == std::errc::io_error);
    CHECK(text_of(disk, "d/a") == "x");  // the write under way was done
    CHECK(file.write(0, as_bytes("y")) == std::errc::io_error);
    CHECK(disk.rename("d/a", "d/b") == std::errc::io_error);
    CHECK(text_of(disk, "d/a") == "x");
    disk.kill();
    CHECK(disk.open("d/a", OpenMode::write)->write(0, as_bytes("z")) == std::error_code{});
}

TEST_CASE("Disk::File::lock holds until the file is closed or its process dies",
          "[sim][disk][unit]") {
    Disk disk;
    auto first = std::optional{make(disk, "d/a")};
    Disk::File second = disk.open("d/a", OpenMode::write).value();
    CHECK_FALSE(first->lock());
    CHECK_FALSE(first->lock());
    CHECK(second.lock() == QueueErrc::already_locked);
    CHECK(disk.lock("d/a").error() == QueueErrc::already_locked);
    Disk::File moved = std::move(*first);
    first.reset();
    CHECK(second.lock() == QueueErrc::already_locked);
    moved = make(disk, "d/b");
    CHECK_FALSE(second.lock());
    disk.kill();
    CHECK(second.lock() == std::errc::io_error);
    CHECK_FALSE(disk.open("d/a", OpenMode::write)->lock());
}

TEST_CASE("Disk distinguishes a file from another one that replaced it", "[sim][disk][unit]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    const auto identity = *file.identity();
    CHECK(*disk.identity("d/a") == identity);
    CHECK_FALSE(disk.rename("d/a", "d/b"));
    CHECK(*disk.identity("d/b") == identity);
    CHECK(disk.identity("d/a").error() == std::errc::no_such_file_or_directory);
    disk.put("d/b", disk.contents("d/b"));
    CHECK(*disk.identity("d/b") != identity);
    Disk::File other = make(disk, "d/b");
    CHECK(*disk.identity("d/b") == *other.identity());
    CHECK_FALSE(other.write(0, as_bytes("new")));
    CHECK(*file.size() == 0);
    CHECK(*file.identity() == identity);
}

TEST_CASE("Disk::limit_bytes simulates a full disk", "[sim][disk][fault]") {
    Disk disk;
    disk.limit_bytes(10);
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(0, as_bytes("12345678")));
    CHECK(file.write(8, as_bytes("901")) == std::errc::no_space_on_device);
    CHECK(text_of(disk, "d/a") == "1234567890");  // the bytes that fit are there
    CHECK(file.write(20, as_bytes("x")) == std::errc::no_space_on_device);  // no byte fits
    CHECK(text_of(disk, "d/a") == "1234567890");
    CHECK_FALSE(file.write(0, as_bytes("abc")));  // existing bytes can be overwritten
    CHECK(file.preallocate(11) == std::errc::no_space_on_device);
    CHECK_FALSE(file.preallocate(10));
    CHECK(disk.used_bytes() == 10);
}

TEST_CASE("Disk::File::resize removes the end of a file, durably after a sync",
          "[sim][disk][unit]") {
    std::set<std::string> unsynced, synced;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        for (const bool syncs : {false, true}) {
            Disk disk;
            Random bits = seeded(seed);
            Disk::File file = make(disk, "d/a");
            CHECK_FALSE(file.write(0, as_bytes("12345678")));
            CHECK_FALSE(file.sync());
            CHECK_FALSE(disk.sync_directory("d"));
            CHECK_FALSE(file.resize(3));
            CHECK(text_of(disk, "d/a") == "123");
            CHECK(*file.size() == 3);
            if (syncs) CHECK_FALSE(file.sync());
            disk.crash(bits);
            (syncs ? synced : unsynced).insert(text_of(disk, "d/a"));
        }
    }
    CHECK(unsynced == std::set<std::string>{"123", "12345678"});
    CHECK(synced == std::set<std::string>{"123"});
    Disk disk;
    Disk::File file = make(disk, "d/b");
    CHECK_FALSE(file.write(0, as_bytes("abc")));
    CHECK_FALSE(file.resize(1));
    CHECK_FALSE(file.resize(3));  // new bytes are zeros
    CHECK(text_of(disk, "d/b") == (std::string{"a"} + std::string(2, '\0')));
    disk.limit_bytes(3);
    CHECK(file.resize(4) == std::errc::no_space_on_device);
    disk.fail_at(disk.operations() + 1, std::make_error_code(std::errc::io_error));
    CHECK(file.resize(0) == std::errc::io_error);
    CHECK(*file.size() == 3);
}

TEST_CASE("Disk::has_directory finds directories that were made or have files",
          "[sim][disk][unit]") {
    Disk disk;
    CHECK(disk.has_directory("/"));
    CHECK_FALSE(disk.has_directory("/a"));
    CHECK_FALSE(disk.create_directory("/a"));
    CHECK(disk.has_directory("/a"));
    CHECK(disk.has_directory("/a/"));
    disk.put("/b/c/d", Bytes(1));
    CHECK(disk.has_directory("/b"));
    CHECK(disk.has_directory("/b/c"));
    CHECK_FALSE(disk.has_directory("/b/c/d"));
    CHECK_FALSE(disk.has_directory("/b/d"));
}

namespace {

/// Returns what is on a disk after `change` and a loss of power, for many seeds.
template <class F>
std::set<std::string> after_crashes(F&& change) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        Disk disk;
        for (const char* const name : {"a", "p"}) CHECK(!disk.create_directory(name));
        auto file = make(disk, "a/x");
        CHECK(!file.write(0, as_bytes("x")));
        CHECK(!file.sync());
        for (const char* const name : {"", "a", "p"}) CHECK(!disk.sync_directory(name));
        change(disk);
        disk.crash(seeded(seed));
        std::string all;
        for (const auto& [name, bytes] : disk.image()) all += name + ' ';
        for (const char* const name : {"a", "b", "p", "p/b"}) {
            if (disk.has_directory(name)) all.append("/").append(name).append(" ");
        }
        outcomes.insert(all);
    }
    return outcomes;
}
using Outcomes = std::set<std::string>;

}  // namespace

TEST_CASE("Disk::rename moves a directory, durably after a sync of its new parent",
          "[sim][disk][fault]") {
    CHECK(after_crashes([](Disk& disk) { CHECK(!disk.rename("a", "b")); }) ==
          Outcomes{"a/x /a /p ", "b/x /b /p "});
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("a", "b"));
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"b/x /b /p "});
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("a", "p/b"));
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"a/x /a /p ", "p/b/x /p /p/b "});
    // A file that was made and synced afterwards is in the directory, under either name.
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("a", "b"));
              static_cast<void>(make(disk, "b/y"));
              CHECK(!disk.sync_directory("b"));
          }) == Outcomes{"a/x a/y /a /p ", "b/x b/y /b /p "});
    // Twice, and in the place of an empty directory.
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("a", "b"));
              CHECK(!disk.rename("b", "p"));
          }) == Outcomes{"a/x /a /p ", "b/x /b /p ", "p/x /p "});
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("p", "b"));
              CHECK(disk.rename("b", "a") == std::errc::directory_not_empty);
              CHECK(disk.rename("none", "b") == std::errc::no_such_file_or_directory);
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"a/x /a /b "});
}

TEST_CASE("Disk::remove_directory removes an empty directory, durably after a sync of its parent",
          "[sim][disk][fault]") {
    CHECK(after_crashes([](Disk& disk) {
              CHECK(disk.remove_directory("a") == std::errc::directory_not_empty);
              CHECK(disk.remove_directory("b") == std::errc::no_such_file_or_directory);
              CHECK(!disk.remove_directory("p"));
              CHECK(!disk.has_directory("p"));
          }) == Outcomes{"a/x /a ", "a/x /a /p "});
    // Its content is gone with it: an earlier removal in it is durable, too.
    const auto empties = [](Disk& disk) {
        CHECK(!disk.remove("a/x"));
        CHECK(!disk.remove_directory("a"));
    };
    CHECK(after_crashes(empties) == Outcomes{"/a /p ", "/p ", "a/x /a /p "});
    CHECK(after_crashes([&](Disk& disk) {
              empties(disk);
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"/p "});
    // A directory that takes its name is a new one.
    CHECK(after_crashes([&](Disk& disk) {
              empties(disk);
              CHECK(!disk.create_directory("a"));
              static_cast<void>(make(disk, "a/y"));
              CHECK(!disk.sync_directory("a"));
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"a/y /a /p "});
    // So are a move out of it, and one into a directory that is then gone.
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.rename("a/x", "x"));
              CHECK(!disk.remove_directory("a"));
              CHECK(!disk.sync_directory(""));
          }) == Outcomes{"x /p "});
    CHECK(after_crashes([](Disk& disk) {
              CHECK(!disk.create_directory("b"));
              CHECK(!disk.remove_directory("b"));
          }) == Outcomes{"a/x /a /b /p ", "a/x /a /p "});
}

TEST_CASE("Disk::names_in lists files and directories of a directory", "[sim][disk][unit]") {
    Disk disk;
    CHECK(!disk.create_directory("d"));
    CHECK(!disk.create_directory("d/e"));
    static_cast<void>(make(disk, "d/f"));
    static_cast<void>(make(disk, "d/g/h"));
    static_cast<void>(make(disk, "dd"));
    using Names = std::vector<std::string>;
    CHECK(sorted(disk.names_in("/")) == Names{"d", "dd"});
    CHECK(sorted(disk.names_in("/d")) == Names{"e", "f", "g"});
    CHECK(disk.names_in("d/e")->empty());
    disk.exhaust_descriptors(true);
    CHECK(disk.names_in("d").error() == std::errc::too_many_files_open);
}

TEST_CASE("A path of a Disk is absolute or relative to the root", "[sim][disk][regression]") {
    Disk disk;
    Disk::File file = make(disk, "/kv.log");
    CHECK_FALSE(file.write(0, as_bytes("written")));
    CHECK(text_of(disk, "kv.log") == "written");
    CHECK(disk.open("kv.log", OpenMode::read));
    CHECK_FALSE(disk.create_directory("data"));
    CHECK(disk.has_directory("/data"));
    CHECK_FALSE(disk.rename("kv.log", "/data/kv.log"));
    CHECK_FALSE(disk.identity("/kv.log"));
    for (const char* const root : {"/", "", "."}) {
        CHECK(*disk.list(root) == std::vector<std::string>{"data/kv.log"});
    }
    CHECK(*disk.list("/data") == std::vector<std::string>{"kv.log"});
    CHECK_FALSE(disk.open("/data/kv.log", OpenMode::read)->sync());
    CHECK_FALSE(disk.sync_directory("data"));
    CHECK_FALSE(disk.sync_directory("/"));
    Random bits = seeded(7);
    for (int i = 0; i < 20; ++i) disk.crash(bits);
    CHECK(text_of(disk, "/data/kv.log") == "written");
    disk.put("/kv.log", Bytes(1));
    CHECK_FALSE(disk.remove("kv.log"));
    CHECK(disk.image().size() == 1);
}

TEST_CASE("Disk::restore restores a backup", "[sim][disk][unit]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(0, as_bytes("old")));
    const Disk::Image image = disk.image();
    CHECK_FALSE(file.write(0, as_bytes("new")));
    Disk::File other = make(disk, "d/b");
    disk.restore(image);
    CHECK(text_of(disk, "d/a") == "old");
    CHECK(disk.list("d")->size() == 1);
    CHECK_FALSE(other.size());
    Random bits = seeded(1);
    disk.crash(bits);
    CHECK(disk.image() == image);
}

TEST_CASE("Disk::fill_at leaves no more space from an operation on", "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    disk.fill_at(disk.operations() + 2);
    CHECK_FALSE(file.write(0, as_bytes("1234")));
    CHECK(file.write(4, as_bytes("5")) == std::errc::no_space_on_device);
    // Existing bytes can be written again.
    CHECK_FALSE(file.write(0, as_bytes("abcd")));
    CHECK_FALSE(file.sync());
    disk.mend();
    CHECK_FALSE(file.write(4, as_bytes("5")));
    CHECK(text_of(disk, "d/a") == "abcd5");
}

TEST_CASE("Disk::ignore_syncs confirms data that a crash may then lose", "[sim][disk][fault]") {
    std::set<std::string> observed;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Disk disk;
        Disk::File file = make(disk, "d/a");
        CHECK_FALSE(file.write(0, as_bytes("old")));
        CHECK_FALSE(file.sync());
        CHECK_FALSE(disk.sync_directory("d"));
        disk.ignore_syncs(true);
        CHECK_FALSE(file.write(0, as_bytes("new")));
        CHECK_FALSE(file.sync());
        // A later sync that succeeds makes it durable.
        if (seed % 2 == 0) {
            disk.ignore_syncs(false);
            CHECK_FALSE(file.sync());
        }
        disk.crash(seeded(seed));
        if (seed % 2 == 0) CHECK(text_of(disk, "d/a") == "new");
        if (seed % 2 != 0) observed.insert(text_of(disk, "d/a"));
    }
    CHECK(observed.count("old") == 1);
    CHECK(observed.count("new") == 1);
}

TEST_CASE("Disk::flip_bit changes one bit, durably", "[sim][disk][fault]") {
    Disk disk;
    disk.flip_bit(7);  // there is no bit yet
    disk.put("d/a", to_bytes("ab"));
    disk.put("d/b", to_bytes("c"));
    disk.flip_bit(8);
    CHECK(text_of(disk, "d/a") == "ac");
    disk.flip_bit(24 + 16);  // of 24 bits
    disk.crash(seeded(1));
    CHECK(text_of(disk, "d/a") == "ac");
    CHECK(text_of(disk, "d/b") == "b");
}

TEST_CASE("Disk::misdirect_at sends one write to another place", "[sim][disk][fault]") {
    Disk disk;
    Disk::File file = make(disk, "d/a");
    CHECK_FALSE(file.write(0, Bytes(5000, std::byte{'x'})));
    disk.misdirect_at(disk.operations() + 1);
    CHECK_FALSE(file.write(10, as_bytes("hello")));
    CHECK_FALSE(file.write(20, as_bytes("right")));
    const std::string text = text_of(disk, "d/a");
    CHECK(text.find("hello") == 4106);
    CHECK(text.find("right") == 20);
    CHECK(text.size() == 5000);
}

TEST_CASE("DiskInode::sync visits the changes since the last sync, and not the whole file",
          "[sim][disk][regression]") {
    sim::detail::DiskInode inode;
    inode.grow(std::size_t{16} << 20);  // a segment of a journal
    CHECK(inode.dirty().size() == 32'768);
    inode.sync();
    CHECK(inode.dirty().empty());
    for (int record = 0; record < 3; ++record) {
        inode.write(0, as_bytes("header"));
        inode.write(std::size_t{8} << 20, as_bytes("record"));
        inode.write(511 + (std::size_t{8} << 20), as_bytes("more"));
        CHECK(inode.dirty().size() == 3);  // each sector once
        record == 0 ? inode.forget_dirty() : inode.sync();
        CHECK(inode.dirty().empty());
    }
}

TEST_CASE("DiskInode leaves the same bytes as if all sectors of a file were visited",
          "[sim][disk][property]") {
    CHECK(rc::check("after writes, syncs and crashes in any order", [](std::uint64_t seed) {
        Random operations = seeded(seed), bits = seeded(seed + 1), model_bits = bits;
        sim::detail::DiskInode inode;
        PlainInode model;
        for (int n = 0; n < 60; ++n) {
            const auto at = static_cast<std::size_t>(uniform_upto(operations, 9'000));
            const auto count = static_cast<std::size_t>(uniform_upto(operations, 1'200));
            const Bytes text(count, static_cast<std::byte>(n));
            switch (uniform_upto(operations, 7)) {
                case 0:
                    inode.sync(), model.sync();
                    break;
                case 1:
                    inode.forget_dirty(), model.dirty.assign(model.dirty.size(), false);
                    break;
                case 2:
                    inode.crash(bits), model.crash(model_bits);
                    RC_ASSERT(bits() == model_bits());  // the same number of draws
                    break;
                case 3:
                    inode.resize(at), model.resize(at);
                    break;
                default:
                    inode.write(at, text), model.write(at, text);
            }
            RC_ASSERT(inode.bytes() == model.now);
        }
    }));
}
