// SPDX-License-Identifier: MIT
// Writes a journal with everything that its format has, or reads one and says whether all is there.
//     byte_order write DIR | byte_order read DIR
// The same program, built for machines of both byte orders, must write the same bytes.
#include <cstdio>
#include <cstring>
#include <string>

#include <belay/posix.hpp>

namespace {

using namespace belay;

constexpr std::uint64_t operations = 300;
constexpr std::uint64_t acknowledged = 37;
constexpr Id store{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{0xFE}};

Bytes body_of(std::uint64_t number) {
    Bytes body(static_cast<std::size_t>(number % 97));
    for (std::size_t i = 0; i < body.size(); ++i) {
        body[i] = static_cast<std::byte>(number * 31 + i);
    }
    return body;
}

Result<posix::Journal, JournalError> open(const char* directory, std::uint64_t seed) {
    return posix::Journal::open(
        directory, {.segment_bytes = 8192, .record_bytes_max = 512, .seed = Seed{seed}});
}

bool fail(const char* what) {
    std::fprintf(stderr, "byte_order: %s\n", what);
    return false;
}

bool write(const char* directory) {
    for (std::uint64_t run = 0; run < 3; ++run) {
        auto journal = open(directory, 7 + run);
        if (!journal) return fail(journal.error().message().c_str());
        for (std::uint64_t i = 1; i <= operations / 3; ++i) {
            const Result<std::uint64_t> number = journal->append(body_of(run * operations / 3 + i));
            if (!number) return fail("append failed");
            if (*number % 40 == 0 && journal->sync()) return fail("sync failed");
        }
        if (run == 1 && journal->pin_store(store)) return fail("pin_store failed");
        if (run == 1 && journal->ack(acknowledged)) return fail("ack failed");
        if (run == 1 && journal->keep(as_bytes("a note"))) return fail("keep failed");
        if (journal->sync()) return fail("sync failed");
    }
    return true;
}

bool read(const char* directory) {
    auto journal = open(directory, 99);
    if (!journal) return fail(journal.error().message().c_str());
    if (journal->last() != operations || journal->base() != acknowledged + 1) {
        return fail("other numbers");
    }
    if (as_text(journal->kept()) != "a note") return fail("another note");
    // The same on both machines, since the seeds are.
    if (*journal->check(operations) != 0x86B353511B309AD2U) return fail("another check");
    if (journal->store_pin() != store || journal->run() != 4) return fail("another pin or run");
    for (std::uint64_t number = journal->base(); number <= operations; ++number) {
        const Result<BytesView> body = journal->read(number);
        const Bytes expected = body_of(number);
        if (!body || body->size() != expected.size() ||
            (!expected.empty() &&
             std::memcmp(body->data(), expected.data(), expected.size()) != 0)) {
            return fail("another body");
        }
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc == 3 ? argv[1] : "";
    if (what == "write") return write(argv[2]) ? 0 : 1;
    if (what == "read") return read(argv[2]) ? 0 : 1;
    std::fputs("usage: byte_order write|read DIR\n", stderr);
    return 2;
}
