// SPDX-License-Identifier: MIT
/// \file tests/support/work/page_work_reader.hpp
/// PageWork: reads the entries of a work queue by docs/reference/formats/work-queue.md alone, without code of
/// the library.
#pragma once

#include <bit>
#include <set>
#include <string_view>

#include "support/journal/page_reader.hpp"

namespace belay_test {

/// SipHash-2-4 with 128 bits of output, as its authors describe it.
inline std::array<std::uint64_t, 2> page_siphash(const PageBytes& key, const PageBytes& text) {
    const std::uint64_t k[2] = {page_integer(key, 0, 8), page_integer(key, 8, 8)};
    std::uint64_t v[4] = {k[0] ^ 0x736f6d6570736575U, k[1] ^ 0x646f72616e646f6dU ^ 0xeeU,
                          k[0] ^ 0x6c7967656e657261U, k[1] ^ 0x7465646279746573U};
    const auto round = [&v](int count) {
        for (; count != 0; --count) {
            v[0] += v[1], v[1] = std::rotl(v[1], 13) ^ v[0], v[0] = std::rotl(v[0], 32);
            v[2] += v[3], v[3] = std::rotl(v[3], 16) ^ v[2];
            v[0] += v[3], v[3] = std::rotl(v[3], 21) ^ v[0];
            v[2] += v[1], v[1] = std::rotl(v[1], 17) ^ v[2], v[2] = std::rotl(v[2], 32);
        }
    };
    PageBytes padded = text;
    padded.resize(text.size() / 8 * 8 + 8);
    padded.back() = static_cast<std::uint8_t>(text.size());
    for (std::size_t at = 0; at < padded.size(); at += 8) {
        const std::uint64_t word = page_integer(padded, at, 8);
        v[3] ^= word, round(2), v[0] ^= word;
    }
    v[2] ^= 0xee, round(4);
    const std::uint64_t low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd, round(4);
    return {low, v[0] ^ v[1] ^ v[2] ^ v[3]};
}
inline PageBytes page_little_endian(std::uint64_t value, std::size_t count) {
    PageBytes bytes;
    for (std::size_t i = 0; i < count; ++i)
        bytes.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    return bytes;
}

/// The 12 bytes of a key in a log with this id.
inline PageBytes page_key(const PageBytes& id, std::string_view key) {
    PageBytes text(key.begin(), key.end());
    if (key.size() > 64) {
        const auto s = page_siphash(id, text);
        text = page_little_endian(s[0], 8);
        for (const std::uint8_t byte : page_little_endian(s[1], 8)) text.push_back(byte);
    }
    text.resize((text.size() + 7) / 8 * 8);
    const auto f = [&id](std::size_t n) {
        return page_siphash(id, page_little_endian(n / 2, 4))[n % 2];
    };
    std::uint64_t upper[3];
    for (std::size_t i = 0; i < 3; ++i) {
        const auto g = [&](std::size_t n) { return f(3 * n + i); };
        std::uint64_t sum = g(0) + g(1) * static_cast<std::uint32_t>(key.size());
        for (std::size_t pair = 0; pair < text.size() / 8; ++pair) {
            sum += (g(2 + 2 * pair) + page_integer(text, 8 * pair, 4)) *
                   (g(3 + 2 * pair) + page_integer(text, 8 * pair + 4, 4));
        }
        upper[i] = sum >> 32;
    }
    PageBytes bytes = page_little_endian(upper[0] << 32 | upper[1], 8);
    for (const std::uint8_t byte : page_little_endian(upper[2], 4)) bytes.push_back(byte);
    return bytes;
}

/// The state of an item.
struct PageItem {
    std::uint64_t position = 0;
    PageBytes body;
    std::uint64_t delivered = 0;
    std::uint64_t state = 0;  // as in the table of the page
    std::uint64_t delay_ns = 0;
};

/// The items and keys in the entries.
class PageWork {
public:
    /// Reads `entries` from `base` to `last`; missing ones are damaged.
    PageWork(const std::map<std::uint64_t, PageBytes>& entries, std::uint64_t base,
             std::uint64_t last) {
        for (std::uint64_t number = base; number <= last; ++number) {
            const auto entry = entries.find(number);
            if (entry == entries.end()) {
                damaged_.insert(number);
                items[number].position = number;
            } else {
                take(number, entry->second);
            }
        }
        std::erase_if(items, [this](const auto& item) { return item.second.position < below_; });
        for (const std::uint64_t number : damaged_) {
            const auto item = items.find(number);
            if (item != items.end() && item->second.position == number) item->second.state = 3;
        }
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (owners_[i] == 0 || freed_.contains(owners_[i])) keys[i].clear();
        }
    }

    std::map<std::uint64_t, PageItem> items;  // by id
    std::vector<PageBytes>
        keys;  // the 12 bytes of each key that was found, in order; none: it is free

private:
    void take(std::uint64_t number, const PageBytes& entry) {
        std::size_t at = 8;
        const auto next = [&](int count) {
            const std::uint64_t value = page_integer(entry, at, count);
            at += static_cast<std::size_t>(count);
            return value;
        };
        const std::uint64_t kind = entry.at(0), flags = entry.at(1);
        PageItem stated;
        stated.position = number;
        if (kind == 2 || kind == 3 || kind == 4 || kind == 6) next(4);  // the mark
        const std::uint64_t id = kind == 2 || kind == 4 ? next(8) : number;
        if (kind == 2) next(8);
        const std::uint64_t below = kind == 3 ? next(8) : 0;
        const std::uint64_t part = kind == 5 ? next(4) : 0, parts = kind == 5 ? next(4) : 0;
        PageBytes key;
        for (int i = 0; (flags & 1) != 0 && i < 12; ++i) {
            key.push_back(static_cast<std::uint8_t>(next(1)));
        }
        if ((flags & 2) != 0) stated.delay_ns = next(8);
        if ((flags & 4) != 0) next(8);
        if ((flags & 8) != 0) stated.delivered = next(4), stated.state = next(4);
        const PageBytes rest(entry.begin() + static_cast<std::ptrdiff_t>(at), entry.end());
        if (kind == 1 || kind == 2) {
            stated.body = rest;
            items[id] = stated;
            if (kind == 1 && !key.empty()) see(key, id);
        } else if (kind == 3) {
            below_ = std::max(below_, below);
            for (std::size_t i = 0; i < rest.size(); i += 8) items.erase(page_integer(rest, i, 8));
        } else if (kind == 4 && items.contains(id)) {
            stated.position = items[id].position;
            stated.body = items[id].body;
            items[id] = stated;
        } else if (kind == 5) {
            take_part(part, parts, rest);
        } else if (kind == 6) {
            for (std::size_t i = 0; i < rest.size(); i += 8)
                freed_.insert(page_integer(rest, i, 8));
            next_part_ = 0;
        }
    }
    void see(const PageBytes& key, std::uint64_t item) {
        keys.push_back(key);
        owners_.push_back(item);
        next_part_ = 0;
    }
    void take_part(std::uint64_t part, std::uint64_t parts, const PageBytes& prints) {
        if (part == 0) {
            window_.clear();
            window_owners_.clear();
            parts_ = parts;
        } else if (part != next_part_ || parts != parts_) {
            next_part_ = 0;
            return;
        }
        for (auto print = prints.begin(); print != prints.end(); print += 24) {
            window_.emplace_back(print, print + 12);
            window_owners_.push_back(page_integer(PageBytes(print + 16, print + 24), 0, 8));
        }
        next_part_ = part + 1;
        if (next_part_ == parts_) {
            keys = window_;
            owners_ = window_owners_;
            next_part_ = 0;
        }
    }

    std::set<std::uint64_t> damaged_, freed_;
    std::vector<std::uint64_t> owners_, window_owners_;
    std::uint64_t below_ = 0, next_part_ = 0, parts_ = 0;
    std::vector<PageBytes> window_;
};

}  // namespace belay_test
