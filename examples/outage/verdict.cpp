// SPDX-License-Identifier: MIT
#include "verdict.hpp"

#include <algorithm>
#include <charconv>

#include "files.hpp"
#include "timeline.hpp"

namespace outage {

namespace {

constexpr std::size_t examples_max = 5;

/// The number that a ledger line begins with; 0 if it begins with none.
std::uint64_t number_of(std::string_view line) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    return error == std::errc{} && end != line.data() + line.size() && *end == ' ' ? number : 0;
}

}  // namespace

std::string Verdict::words() const {
    std::string text = counted(lines, "line") + ", " + std::to_string(lost) + " lost, " +
                       std::to_string(duplicated) + " duplicated, " + std::to_string(out_of_order) +
                       " out of order";
    if (foreign != 0) text += ", " + std::to_string(foreign) + " not in the file";
    return text;
}

Verdict compare(const Lines& lines, const std::string& ledger_path) {
    const std::string text = read_file(ledger_path);
    Verdict v;
    v.lines = lines.count();
    std::vector<bool> seen(lines.count() + 1, false);
    std::uint64_t highest = 0;
    const auto wrong = [&](std::uint64_t& count, std::uint64_t number, const char* what) {
        ++count;
        if (v.examples.size() < examples_max) {
            v.examples.push_back("line " + std::to_string(number) + " " + what);
        }
    };
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        const bool whole = line.size() != rest.size();
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        // A torn end was never acknowledged; if it was, the line is missing, and so found.
        if (!whole || line.substr(0, 1) == "#") continue;
        const std::uint64_t number = number_of(line);
        const std::size_t tab = line.find('\t');
        if (number == 0 || number > lines.count() || tab == line.npos ||
            line.substr(tab + 1) != lines.at(number)) {
            wrong(v.foreign, number, "of the ledger differs from that line of the file");
            continue;
        }
        if (seen[number]) wrong(v.duplicated, number, "is in the ledger twice");
        if (number < highest) wrong(v.out_of_order, number, "comes after a later one");
        seen[number] = true;
        highest = std::max(highest, number);
    }
    for (std::uint64_t n = 1; n <= lines.count(); ++n) {
        if (!seen[n]) wrong(v.lost, n, "is not in the ledger");
    }
    return v;
}

}  // namespace outage
