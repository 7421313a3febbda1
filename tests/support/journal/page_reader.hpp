// SPDX-License-Identifier: MIT
/// \file tests/support/journal/page_reader.hpp
/// PageReader: reads a journal by docs/reference/formats/journal.md alone, without code of the library.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace belay_test {

using PageBytes = std::vector<std::uint8_t>;

inline std::uint64_t page_integer(const PageBytes& bytes, std::size_t at, int count) {
    std::uint64_t value = 0;
    for (int i = count; i-- > 0;) value = value << 8 | bytes.at(at + static_cast<std::size_t>(i));
    return value;
}

/// CRC32C, bit by bit, "started at" a value.
inline std::uint32_t page_crc(const PageBytes& bytes, std::size_t from, std::size_t count,
                              std::uint32_t started_at = 0) {
    std::uint32_t crc = ~started_at;
    for (std::size_t i = from; i < from + count; ++i) {
        crc ^= bytes.at(i);
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78U : 0);
    }
    return ~crc;
}

/// The content of the files of a journal. `wrong` is the reason for a rejection, and empty without
/// one.
struct PageJournal {
    std::string wrong;
    std::map<std::uint64_t, PageBytes> operations;  // all that are in the files
    std::map<std::uint64_t, std::uint64_t> checks;
    std::uint64_t last = 0;
    std::uint64_t acked = 0;
    std::uint64_t run = 0;
    PageBytes id, pin, note;
};

/// Reads every record of files that were closed in order. It rejects the remains of a crash.
class PageReader {
public:
    /// Files by name, without their directory.
    explicit PageReader(const std::map<std::string, PageBytes>& files) { read(files); }

    PageJournal found;

private:
    void read(const std::map<std::string, PageBytes>& files) {
        for (const auto& [name, bytes] : files) {
            if (!is_segment(name)) continue;
            const std::uint64_t index = std::stoull(name.substr(0, 16), nullptr, 16);
            if (index_ != 0 && index != index_ + 1) return refuse("a file is missing");
            if (index_ != 0 && !sealed_) return refuse("a file goes on behind one without a seal");
            index_ = index;
            read_segment(bytes);
            if (!found.wrong.empty()) return;
        }
        if (index_ == 0) return refuse("no journal");
        if (sealed_) refuse("a sealed file without a successor");
        if (first_ > found.acked + 1) refuse("what is not acknowledged is missing");
    }
    static bool is_segment(const std::string& name) {
        return name.size() == 24 && name.ends_with(".journal") &&
               name.find_first_not_of("0123456789abcdef") == 16;
    }
    void refuse(std::string why) {
        if (found.wrong.empty()) found.wrong = std::move(why);
    }
    static PageBytes part(const PageBytes& bytes, std::size_t from, std::size_t count) {
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(from);
        return {begin, begin + static_cast<std::ptrdiff_t>(count)};
    }

    void read_segment(const PageBytes& bytes) {
        const std::string magic{"belay/j\n"};
        if (bytes.size() < 128 || !std::equal(magic.begin(), magic.end(), bytes.begin())) {
            return refuse("not a segment");
        }
        if (page_integer(bytes, 8, 4) != 2 || page_integer(bytes, 96, 8) != 0) {
            return refuse("another version");
        }
        if (page_crc(bytes, 0, 124) != page_integer(bytes, 124, 4)) return refuse("the header");
        const std::uint64_t first = page_integer(bytes, 40, 8);
        const std::uint64_t run = page_integer(bytes, 80, 4);
        if (page_integer(bytes, 32, 8) != index_) return refuse("the index");
        if (first_ == 0) {
            // The first file in the directory need not be the first that was made.
            first_ = first;
            found.last = first - 1;
            check_ = page_integer(bytes, 48, 8);
            found.id = part(bytes, 16, 16);
        } else if (first != found.last + 1 || page_integer(bytes, 48, 8) != check_ ||
                   part(bytes, 16, 16) != found.id || run < found.run ||
                   page_integer(bytes, 104, 4) != seal_at_) {
            return refuse("it does not go on");
        }
        found.run = run;
        salt_ = page_integer(bytes, 84, 4);
        found.acked = std::max(found.acked, page_integer(bytes, 56, 8));
        found.pin = part(bytes, 64, 16);
        if (page_integer(bytes, 108, 4) == 128) found.note.clear();
        sealed_ = false;
        std::size_t at = 128;
        bool behind_opening = false;
        while (!sealed_ && found.wrong.empty()) {
            if (is_valid(bytes, at)) {
                behind_opening = bytes[at + 20] == 2;
                take(bytes, at);
            } else if (behind_opening && is_earlier_opening(bytes, at)) {
                behind_opening = false;
                at += 32;
            } else {
                break;
            }
        }
        if (found.wrong.empty() && at < page_integer(bytes, 108, 4)) refuse("the note");
        // The bytes after a seal have no meaning.
        for (std::size_t i = at; i < bytes.size() && !sealed_; ++i) {
            if (bytes[i] != 0) return refuse("something follows");
        }
    }

    bool is_valid(const PageBytes& bytes, std::size_t at) const {
        if (at + 24 > bytes.size() || bytes[at + 20] == 0) return false;
        const std::uint64_t length = page_integer(bytes, at + 4, 4);
        if (length > bytes.size() - at - 24) return false;
        std::uint64_t run = found.run;
        if (bytes[at + 20] == 2) {
            // An opening must begin a later run.
            if (page_integer(bytes, at + 8, 8) <= run) return false;
            run = page_integer(bytes, at + 8, 8);
        }
        if (page_integer(bytes, at + 21, 3) != run % 0x1000000) return false;
        PageBytes summed = part(bytes, at + 4, 20);
        const std::uint32_t of_payload = page_crc(bytes, at + 24, length);
        for (int i = 0; i < 4; ++i)
            summed.push_back(static_cast<std::uint8_t>(of_payload >> 8 * i));
        const std::uint64_t nonce = page_integer(bytes, 88, 4);
        return page_crc(summed, 0, 24, static_cast<std::uint32_t>(nonce + at)) ==
               page_integer(bytes, at, 4);
    }

    /// Openings without an operation between them use two places, in turn.
    bool is_earlier_opening(const PageBytes& bytes, std::size_t at) {
        if (at + 32 > bytes.size() || bytes[at + 20] != 2) return false;
        const std::uint64_t run = found.run;
        if (page_integer(bytes, at + 8, 8) >= run) return false;
        found.run = 0;
        const bool valid = is_valid(bytes, at);
        found.run = run;
        return valid;
    }

    void take(const PageBytes& bytes, std::size_t& at) {
        const std::uint64_t length = page_integer(bytes, at + 4, 4);
        const std::uint64_t number = page_integer(bytes, at + 8, 8);
        const PageBytes payload = part(bytes, at + 24, length);
        if (bytes[at + 20] > 6) return refuse("a later version");
        switch (bytes[at + 20]) {
            case 1:
                if (number != found.last + 1) return refuse("the numbers have a gap");
                found.operations[number] = payload;
                found.last = number;
                check_ = next_check(payload);
                found.checks[number] = check_;
                break;
            case 2:
                found.run = number;
                salt_ = page_integer(payload, 0, 4);
                break;
            case 3:
                if (number > found.last) return refuse("acknowledges what does not exist");
                found.acked = std::max(found.acked, number);
                break;
            case 4:
                found.pin = payload;
                break;
            case 5:
                if (number != found.last || page_integer(payload, 0, 8) != check_) {
                    return refuse("the seal");
                }
                sealed_ = true;
                seal_at_ = at;
                break;
            default:
                found.note = payload;
                break;
        }
        at += 24 + (length + 7) / 8 * 8;  // the padding is in no checksum
    }

    /// Computed as in section 2 of the session protocol.
    std::uint64_t next_check(const PageBytes& body) const {
        const std::uint64_t sum = page_crc(body, 0, body.size());
        std::uint64_t x = (check_ ^ (sum << 32 | body.size())) + 0x9E3779B97F4A7C15U * (salt_ + 1);
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
        x = (x ^ x >> 27) * 0x94D049BB133111EBU;
        return x ^ x >> 31;
    }

    std::uint64_t index_ = 0, first_ = 0, check_ = 0, salt_ = 0, seal_at_ = 0;
    bool sealed_ = false;
};

}  // namespace belay_test
