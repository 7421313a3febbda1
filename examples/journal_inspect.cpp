// SPDX-License-Identifier: MIT
// Prints and verifies a journal, or a work queue's, damaged or not, and copies what can be read of
// it into a new one.
#include <cctype>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <belay/journal/journal_salvage.hpp>
#include <belay/posix.hpp>
#include <belay/work/work_salvage.hpp>

using namespace belay;

namespace {

constexpr const char* usage =
    "usage: journal_inspect [--operations] [--salvage NEW] DIR\n"
    "\n"
    "Prints the content of the journal in directory DIR, and whether every byte is as it was\n"
    "written. It changes nothing, and works while a program has the journal open.\n"
    "\n"
    "  --operations    also prints each waiting operation: its number, its length and its\n"
    "                  beginning. For a work queue it prints each item with its state.\n"
    "  --salvage NEW   copies the waiting operations that can be read, and the stored note, into "
    "a\n"
    "                  new journal in directory NEW. For a work queue it copies the remaining "
    "items.\n"
    "\n"
    "Exit code: 0 whole, 1 damaged (also if the rest was salvaged), 2 reading or salvaging "
    "failed.\n";

struct Options {
    bool operations = false;
    std::string salvage_to;
    std::string directory;
};

int reject(const std::string& why) {
    std::fprintf(stderr, "journal_inspect: %s\n", why.c_str());
    return 2;
}

/// The first bytes as text, with a point for each that is not printable.
std::string beginning(BytesView body) {
    std::string text{as_text(body.first(body.size() < 48 ? body.size() : 48))};
    for (char& c : text) {
        if (std::isprint(static_cast<unsigned char>(c)) == 0) c = '.';
    }
    return text;
}

void print(const tool::JournalReport& found) {
    for (const tool::JournalReport::Segment& s : found.segments) {
        std::printf("%s: %llu bytes, ", s.path.c_str(), static_cast<unsigned long long>(s.bytes));
        if (s.operations == 0) {
            std::printf("no operation%s\n", s.sealed ? ", sealed" : "");
        } else {
            std::printf("operations %llu to %llu%s\n", static_cast<unsigned long long>(s.first),
                        static_cast<unsigned long long>(s.last), s.sealed ? ", sealed" : "");
        }
    }
    std::printf("run %lu; acknowledged up to %llu; %llu operations wait; a note of %zu bytes\n",
                static_cast<unsigned long>(found.run), static_cast<unsigned long long>(found.acked),
                static_cast<unsigned long long>(found.operations), found.note.size());
    if (found.unfinished_roll) {
        std::puts("the program ended while it created the last file; opening removes the file");
    }
    if (found.unfinished_bytes != 0) {
        std::printf("%llu bytes at the end are an unfinished write; opening clears them\n",
                    static_cast<unsigned long long>(found.unfinished_bytes));
    }
    for (const tool::JournalReport::Damage& damage : found.damages) {
        std::printf("DAMAGE: %s at byte %llu, %llu bytes: %s\n", damage.path.c_str(),
                    static_cast<unsigned long long>(damage.offset),
                    static_cast<unsigned long long>(damage.bytes), damage.what.c_str());
    }
    for (const tool::JournalReport::Range& lost : found.lost) {
        std::printf("LOST: operations %llu to %llu\n", static_cast<unsigned long long>(lost.first),
                    static_cast<unsigned long long>(lost.last));
    }
}

void print_item(const WorkItem& item) {
    static constexpr const char* states[] = {"ready", "delayed", "leased", "dead"};
    static constexpr const char* causes[] = {"", ", failed", ", expired", ", unreadable"};
    std::printf("%llu: %zu bytes, %s%s, leased %lu times: %s\n",
                static_cast<unsigned long long>(item.id), item.body.size(),
                states[static_cast<std::size_t>(item.state)],
                causes[static_cast<std::size_t>(item.cause)],
                static_cast<unsigned long>(item.deliveries), beginning(item.body).c_str());
}

int verdict(const tool::JournalReport& found) {
    std::puts(found.is_whole() ? "verdict: whole" : "verdict: damaged");
    return found.is_whole() ? 0 : 1;
}

/// The functions for a journal, and for one that is a work queue's.
int look_at_journal(posix::Files& files, const Options& options, const tool::JournalReport& found) {
    if (options.operations) {
        const auto again = tool::inspect_journal(
            files, options.directory, [&](std::uint64_t number, BytesView body) {
                if (number <= found.acked) return;
                std::printf("%llu: %zu bytes: %s\n", static_cast<unsigned long long>(number),
                            body.size(), beginning(body).c_str());
            });
        if (!again) return reject(again.error().message());
    }
    if (!options.salvage_to.empty()) {
        const auto done = tool::salvage_journal(files, options.directory, options.salvage_to);
        if (!done) return reject(done.error().message());
        std::printf("salvaged: %llu operations are in %s\n",
                    static_cast<unsigned long long>(done->copied), options.salvage_to.c_str());
    }
    return verdict(found);
}
int look_at_work(posix::Files& files, const Options& options, const tool::JournalReport& found) {
    const Moment now{SteadyClock{}.now(), SystemClock{}.now()};
    const auto items =
        tool::inspect_work_queue(files, options.directory, now, [&](const WorkItem& item) {
            if (options.operations) print_item(item);
        });
    if (!items) return reject(items.error().message());
    std::printf("a work queue: %llu items, %llu of them delayed; %llu dead letters",
                static_cast<unsigned long long>(items->living),
                static_cast<unsigned long long>(items->delayed),
                static_cast<unsigned long long>(items->dead));
    if (items->unreadable != 0) {
        std::printf("; %llu entries, which may have been items, cannot be read",
                    static_cast<unsigned long long>(items->unreadable));
    }
    std::puts("");
    if (!options.salvage_to.empty()) {
        const auto done =
            tool::salvage_work_queue(files, options.directory, options.salvage_to, now);
        if (!done) return reject(done.error().message());
        std::printf("salvaged: %llu items are in %s\n",
                    static_cast<unsigned long long>(done->copied), options.salvage_to.c_str());
    }
    return verdict(found);
}

int run(const Options& options) {
    posix::Files files;
    // The last acknowledged operation is known only at the end, so operations are printed later.
    auto found = tool::inspect_journal(files, options.directory, [](std::uint64_t, BytesView) {});
    if (!found) return reject(found.error().message());
    print(*found);
    const auto is_work = tool::is_work_queue(files, options.directory);
    if (!is_work) return reject(is_work.error().message());
    return *is_work ? look_at_work(files, options, *found)
                    : look_at_journal(files, options, *found);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--help" || word == "-h") {
            std::fputs(usage, stdout);
            return 0;
        }
        if (word == "--operations") {
            options.operations = true;
        } else if (word == "--salvage") {
            if (++i == words.size() || words[i].empty())
                return reject("--salvage needs a directory");
            options.salvage_to = words[i];
        } else if (word.size() > 1 && word[0] == '-') {
            return reject("unknown option '" + word + "'; see journal_inspect --help");
        } else if (!options.directory.empty()) {
            return reject("pass one directory, not two: '" + options.directory + "' and '" + word +
                          "'");
        } else {
            options.directory = word;
        }
    }
    if (options.directory.empty())
        return reject("a directory is missing; see journal_inspect --help");
    return run(options);
}
