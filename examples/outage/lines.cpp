// SPDX-License-Identifier: MIT
#include "lines.hpp"

#include <algorithm>
#include <filesystem>

#include <belay/core/crc32c.hpp>

#include "files.hpp"
#include "rejection.hpp"

namespace outage {

Lines::Lines(const std::string& path) : text_{read_file(path)} {
    std::string_view rest = text_;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        if (line.size() > line_bytes_max) {
            throw Rejection{path + ", line " + std::to_string(lines_.size() + 1) + ": " +
                            std::to_string(line.size()) + " bytes are too long; the limit is " +
                            std::to_string(line_bytes_max) +
                            "; break the line or choose another file"};
        }
        lines_.push_back(line);
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
}

std::uint32_t Lines::checksum() const noexcept {
    return belay::part::crc32c(belay::as_bytes(text_));
}

std::string default_input(const std::string& headers) {
    constexpr std::ptrdiff_t lines_wanted = 5000;
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::recursive_directory_iterator entry{headers, error};
    for (; !error && entry != std::filesystem::recursive_directory_iterator{};
         entry.increment(error)) {
        if (entry->path().extension() == ".hpp") names.push_back(entry->path().string());
    }
    if (error || names.empty()) {
        throw Rejection{"no headers in " + headers +
                        " to make the input from; name a file with --file"};
    }
    std::sort(names.begin(), names.end());
    std::string text;
    for (const std::string& name : names) {
        if (std::count(text.begin(), text.end(), '\n') >= lines_wanted) break;
        text += read_file(name);
    }
    return text;
}

}  // namespace outage
