// SPDX-License-Identifier: MIT
// A directory for one test, files to deliver, and a check of the ledger that shares no code with
// the demo.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "e2e/process.hpp"
#include "support/beside_program.hpp"

namespace e2e {

/// The demo, and the same with a faulty ledger.
inline const std::string outage = belay_test::beside_program(OUTAGE_BINARY);
inline const std::string outage_planted = belay_test::beside_program(OUTAGE_PLANTED_BINARY);

inline std::string read(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}
inline void write(const std::string& path, const std::string& bytes) {
    std::ofstream{path, std::ios::binary} << bytes;
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A new directory, which is removed at the end of the scope.
class TestDirectory {
public:
    TestDirectory() {
        std::string pattern = std::filesystem::temp_directory_path() / "belay-e2e-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern;
    }
    TestDirectory(const TestDirectory&) = delete;
    TestDirectory& operator=(const TestDirectory&) = delete;
    ~TestDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_ + "/" + name;
    }

private:
    std::string path_;
};

/// Lines with all bytes that a line may contain: NUL, CR, tabs, '#', no byte, many bytes.
inline std::string sample_text(unsigned lines, bool newline_at_end = true) {
    std::string text;
    for (unsigned i = 1; i <= lines; ++i) {
        switch (i % 7) {
            case 0:
                break;
            case 1:
                text += std::string{"nul \0 inside ", 13} + std::to_string(i);
                break;
            case 2:
                text += "windows line " + std::to_string(i) + "\r";
                break;
            case 3:
                text += "# not a comment\t" + std::to_string(i);
                break;
            case 4:
                text += std::string(i % 1000, 'x');
                break;
            case 5:
                text += "\xff\xfe\xc3(" + std::to_string(i);
                break;
            default:
                text += "plain " + std::to_string(i);
                break;
        }
        if (i != lines || newline_at_end) text += '\n';
    }
    return text;
}

/// Whether the ledger's operations, in its order, are the lines 1, 2, 3 … of the input, with the
/// same bytes.
inline bool ledger_equals(const std::string& ledger_path, std::string input) {
    std::string expected, found;
    if (!input.empty() && input.back() != '\n') input += '\n';
    std::uint64_t number = 0;
    const std::string ledger = read(ledger_path);
    for (std::size_t from = 0; from < ledger.size();) {
        const std::size_t end = ledger.find('\n', from);
        if (end == std::string::npos) return false;
        if (ledger[from] != '#') {
            if (std::stoull(ledger.substr(from, 20)) != ++number) return false;
            const std::size_t tab = ledger.find('\t', from);
            if (tab == std::string::npos || tab > end) return false;
            found += ledger.substr(tab + 1, end - tab);
        }
        from = end + 1;
    }
    return found == input;
}

/// The number of operations in a ledger.
inline unsigned ledger_size(const std::string& ledger_path) {
    unsigned count = 0;
    bool at_start = true;
    for (const char c : read(ledger_path)) {
        if (at_start && c != '#') ++count;
        at_start = c == '\n';
    }
    return count;
}

/// A ledger server on its own port.
class LedgerServer {
public:
    explicit LedgerServer(const std::string& dir, const std::string& port = "0")
        : process{{outage, "server", "--port", port, "--dir", dir}, keep_no_freed_memory} {
        if (!process.prints("listens on 127.0.0.1:")) return;
        const std::string& text = process.text();
        const std::size_t colon = text.find("listens on 127.0.0.1:") + 21;
        number = text.substr(colon, text.find(',', colon) - colon);
    }
    [[nodiscard]] std::string address() const { return "127.0.0.1:" + number; }
    [[nodiscard]] std::uint16_t port() const {
        return static_cast<std::uint16_t>(std::stoul(number));
    }

    Process process;
    std::string number = "0";

private:
    /// Under AddressSanitizer, freed memory would count as used for a long time.
    static void keep_no_freed_memory() {
        const char* const options = std::getenv("ASAN_OPTIONS");
        const std::string text = (options != nullptr ? std::string{options} + ":" : std::string{}) +
                                 "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
        ::setenv("ASAN_OPTIONS", text.c_str(), 1);
    }
};

}  // namespace e2e
