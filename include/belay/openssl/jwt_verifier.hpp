// SPDX-License-Identifier: MIT
/// \file belay/openssl/jwt_verifier.hpp
/// jwt::Verifier: verifies JSON Web Tokens and returns their claims; needs OpenSSL 1.1.1 or
/// later. Link belay::openssl or -lcrypto.
/// jwt::Errc: the reasons why a token is not valid, or a key is rejected.
/// JwtObject: reads the JSON object of a token, as strictly as RFC 8259 allows.
#pragma once

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <charconv>      // std::from_chars
#include <cstddef>       // std::size_t
#include <cstdint>       // std::int64_t
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move, std::pair
#include <variant>       // std::variant
#include <vector>        // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/detail/json_text.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Errors of a Verifier; category "belay.jwt".
enum class Errc {
    /// Not three parts of base64url with JSON objects, or too long, or nested too deep (128).
    malformed = 1,
    wrong_algorithm = 2,     ///< signed by another algorithm than the fixed one, or by none
    critical_extension = 3,  ///< it requires an extension, by `crit`
    unknown_key = 4,         ///< no key has its `kid`
    bad_signature = 5,       ///< it was not signed with the key
    expired = 6,             ///< its `exp` has passed, or there is none
    not_yet_valid = 7,       ///< its `nbf` is in the future
    wrong_issuer = 8,        ///< its `iss` is another
    wrong_audience = 9,      ///< its `aud` is another
    bad_subject = 10,        ///< its `sub` is missing, or has another form
    bad_key = 11,      ///< of the verifier: a key is too weak or unreadable, or two have one name
    bad_options = 12,  ///< of the verifier: a leeway below 0 or above 10 minutes
    missing = 13,      ///< there is no token
    not_verified = 14  ///< the verification itself failed, for example for lack of memory
};

}}}  // namespace belay::jwt

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText jwt_error_texts[] = {
    {"the token is malformed or too long", Cause::unauthorized},
    {"the token is not signed by the configured algorithm", Cause::unauthorized},
    {"the token requires an extension that belay does not support", Cause::unauthorized},
    {"the token's key is unknown", Cause::unauthorized},
    {"the token's signature is wrong", Cause::unauthorized},
    {"the token has expired, or has no expiry", Cause::unauthorized},
    {"the token is not valid yet", Cause::unauthorized},
    {"the token has another issuer", Cause::unauthorized},
    {"the token has another audience", Cause::unauthorized},
    {"the token's subject is missing or malformed", Cause::unauthorized},
    {"a key is too weak, unreadable, or configured twice", Cause::permanent},
    {"jwt::Options::leeway must be from 0 to 10 minutes", Cause::permanent},
    {"there is no token", Cause::unauthorized},
    {"the token could not be verified", Cause::overloaded},
};

/// Returns the category of jwt::Errc.
[[nodiscard]] inline const std::error_category& jwt_error_category() noexcept {
    static const TableCategory category{"belay.jwt", jwt_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc e) noexcept {
    return {static_cast<int>(e), detail::jwt_error_category()};
}

}}}  // namespace belay::jwt

template <>
struct std::is_error_code_enum<belay::jwt::Errc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The reason why a verifier was not made, with more detail than the code has.
///
/// Thread safety: a plain value.
struct JwtSetupError : std::error_code {
    JwtSetupError() noexcept = default;
    JwtSetupError(jwt::Errc error, std::string text)
        : std::error_code{error}, what{std::move(text)} {}

    /// Returns what is wrong, and what to do.   Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        return what.empty() ? std::error_code::message() : what;
    }

    std::string what;
};

/// A number of JSON: 0.`digits` * 10^`point`.
struct JwtNumber {
    bool negative = false;
    std::string digits{};  ///< without leading zeros; empty for 0
    std::int64_t point = 0;

    /// Reads a number as JSON writes it.
    explicit JwtNumber(std::string_view text) : negative{text.starts_with('-')} {
        if (negative) text.remove_prefix(1);
        const std::size_t end = smaller(text.find_first_of("eE"), text.size());
        const std::string_view written = text.substr(end);
        std::int64_t exponent = 0;
        for (const char c : written) {
            // A token is too short for a number whose other digits would make up for more.
            const bool counts = c >= '0' && c <= '9' && exponent < 1'000'000;
            exponent = counts ? exponent * 10 + (c - '0') : exponent;
        }
        for (const char c : text.substr(0, end)) {
            if (c != '.') digits += c;
        }
        const std::size_t zeros = smaller(digits.find_first_not_of('0'), digits.size());
        digits.erase(0, zeros);
        point = static_cast<std::int64_t>(smaller(text.find('.'), end)) -
                static_cast<std::int64_t>(zeros) +
                (written.find('-') == text.npos ? exponent : -exponent);
    }
    /// Returns whether a double has its range. From 0.179...e309 on, other parsers round to
    /// infinity.
    [[nodiscard]] bool is_finite() const noexcept {
        return digits.empty() || point < 309 || (point == 309 && digits < "17976931348623158079");
    }
    /// Returns `count` digits after the first `from` ones of the number that has 0 before the point
    /// and all digits after it, as a number. Missing digits are zeros.   Pre: count <= 18.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of std::string::substr
    [[nodiscard]] std::int64_t digits_from(std::int64_t from, std::int64_t count) const noexcept {
        std::int64_t value = 0;
        for (std::int64_t i = from; i < from + count; ++i) {
            const bool has = i >= 0 && i < static_cast<std::int64_t>(digits.size());
            value = value * 10 + (has ? digits[static_cast<std::size_t>(i)] - '0' : 0);
        }
        return value;
    }
};

/// A value of JSON.
struct JwtValue {
    enum class Kind : std::uint8_t { text, number, array, object, word };
    Kind kind = Kind::word;
    std::string text{};             ///< a string, decoded, or a number as it is written
    std::vector<JwtValue> items{};  ///< of an array; those of an array in it are not kept

    [[nodiscard]] bool is_text() const noexcept { return kind == Kind::text; }
    [[nodiscard]] bool is_number() const noexcept { return kind == Kind::number; }
};

/// The members of a JSON object. Values deeper than the items of an array are checked and not
/// stored.
///
/// It rejects everything that RFC 8259 does not allow. It also rejects these inputs, about which
/// parsers disagree:
/// - a text that is not UTF-8, and half of a surrogate pair;
/// - a number beyond the range of a double;
/// - more than 128 objects and arrays within one another;
/// - a name that an object has twice.
///
/// A token has few members and needs no parser of a library, whose headers would take a quarter of
/// a gigabyte to compile.
class JwtObject {
public:
    /// The most objects and arrays within one another.
    static constexpr std::size_t nesting_max = 128;

    /// Complexity: O(n log n).
    [[nodiscard]] static std::optional<JwtObject> parse(std::string_view json) {
        JwtObject object;
        const bool is_json =
            is_utf8(json) && JsonText<Reader>::of(json, nesting_max, Reader{object.members_}) ==
                                 JsonText<Reader>::Verdict::json;
        if (!is_json) return std::nullopt;
        return object;
    }
    /// Returns the value of a member; nullptr if there is none.
    [[nodiscard]] const JwtValue* find(std::string_view name) const noexcept {
        for (const auto& [one, value] : members_) {
            if (one == name) return &value;
        }
        return nullptr;
    }

private:
    using Members = std::vector<std::pair<std::string, JwtValue>>;

    /// Takes the parts of the text; see JsonText.
    class Reader {
    public:
        explicit Reader(Members& members) noexcept : members_{members} {}

        [[nodiscard]] bool open(bool is_object) {
            if (open_.empty() && !is_object) return false;
            store({is_object ? JwtValue::Kind::object : JwtValue::Kind::array});
            open_.push_back({.is_object = is_object});
            return true;
        }
        void close() noexcept { open_.pop_back(); }
        [[nodiscard]] bool name(std::string_view written) {
            std::string name;
            if (!decode(written, name)) return false;
            if (open_.size() == 1) members_.emplace_back(name, JwtValue{});
            return open_.back().names.insert(std::move(name)).second;
        }
        [[nodiscard]] bool text(std::string_view written) {
            JwtValue value{JwtValue::Kind::text};
            return decode(written, value.text) && store(std::move(value));
        }
        [[nodiscard]] bool number(std::string_view written) {
            return JwtNumber{written}.is_finite() &&
                   store({JwtValue::Kind::number, std::string{written}});
        }
        [[nodiscard]] bool word() { return store({}); }

    private:
        /// An object or an array that has not ended.
        struct Scope {
            bool is_object;
            std::set<std::string> names{};
        };

        /// Returns false for a value that is not in an object.
        bool store(JwtValue value) {
            if (open_.size() == 1) members_.back().second = std::move(value);
            if (open_.size() == 2 && !open_.back().is_object)
                members_.back().second.items.push_back(std::move(value));
            return !open_.empty();
        }
        /// Decodes the escapes of a string of JSON.   Returns: false for half of a surrogate pair.
        [[nodiscard]] static bool decode(std::string_view written, std::string& out) {
            constexpr std::string_view letters = "\"\\/bfnrt";
            constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
            while (!written.empty()) {
                const std::size_t letter =
                    written.front() == '\\' ? letters.find(written[1]) : letters.size();
                if (letter == letters.npos) {
                    if (!decode_units(written, out)) return false;
                } else {
                    const bool is_escape = letter != letters.size();
                    out += is_escape ? meant[letter] : written.front();
                    written.remove_prefix(is_escape ? 2 : 1);
                }
            }
            return true;
        }
        /// Decodes and removes the units of UTF-16 with which a text begins: one, or a pair.
        [[nodiscard]] static bool decode_units(std::string_view& written, std::string& out) {
            unsigned code = take_unit(written);
            if (code >= 0xDC00 && code <= 0xDFFF) return false;
            if (code >= 0xD800 && code <= 0xDBFF) {
                const unsigned low = written.starts_with("\\u") ? take_unit(written) : 0;
                if (low < 0xDC00 || low > 0xDFFF) return false;
                code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
            }
            append_utf8(out, code);
            return true;
        }
        /// Takes "\uABCD" from the beginning of a text.
        [[nodiscard]] static unsigned take_unit(std::string_view& written) {
            unsigned unit = 0;
            for (const char c : written.substr(2, 4)) {
                unit = unit << 4U | static_cast<unsigned>(hex_value(c));
            }
            written.remove_prefix(6);
            return unit;
        }
        static void append_utf8(std::string& out, unsigned code) {
            const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
            if (code < 0x80) return add(code);
            if (code < 0x800) {
                add(0xC0U | code >> 6U);
            } else if (code < 0x10000) {
                add(0xE0U | code >> 12U), add(0x80U | (code >> 6U & 0x3FU));
            } else {
                add(0xF0U | code >> 18U), add(0x80U | (code >> 12U & 0x3FU));
                add(0x80U | (code >> 6U & 0x3FU));
            }
            add(0x80U | (code & 0x3FU));
        }

        Members& members_;
        std::vector<Scope> open_{};
    };

    Members members_{};
};

/// Decodes base64 for URLs, without padding (RFC 7515, section 2). Unused bits must be 0, so that
/// each sequence of bytes has only one text.
[[nodiscard]] inline std::optional<std::string> from_base64url(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() * 3 / 4);
    unsigned bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto value = digits.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = bits << 6U | static_cast<unsigned>(value);
        if ((count += 6) >= 8) {
            count -= 8;
            out += static_cast<char>(static_cast<unsigned char>(bits >> count));
            bits &= (1U << count) - 1;
        }
    }
    return bits == 0 ? std::optional{std::move(out)} : std::nullopt;
}

/// The three parts, and the signed text: the first two with the dot between them.
struct JwtParts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_part;

    [[nodiscard]] static std::optional<JwtParts> of(std::string_view token) noexcept {
        const auto first = token.find('.');
        const auto last = token.rfind('.');
        if (first == std::string_view::npos || first == last) return std::nullopt;
        JwtParts parts{token.substr(0, first), token.substr(first + 1, last - first - 1),
                       token.substr(last + 1), token.substr(0, last)};
        if (parts.payload.find('.') != std::string_view::npos) return std::nullopt;
        return parts;
    }
};

/// Converts seconds since 1970, which need not be whole (RFC 7519, section 2). A time beyond the
/// range of WallTime becomes its minimum or maximum.
[[nodiscard]] inline std::optional<WallTime> jwt_time(const JwtValue& value) {
    if (!value.is_number()) return std::nullopt;
    const JwtNumber number{value.text};
    if (number.negative || number.digits.empty()) return WallTime{};
    constexpr std::int64_t most = 9'200'000'000;
    if (number.point > 10) return WallTime::max();
    const std::int64_t whole = number.point > 0 ? number.digits_from(0, number.point) : 0;
    if (whole >= most) return WallTime::max();
    return WallTime{std::chrono::seconds{whole} + Duration{number.digits_from(number.point, 9)}};
}

/// Whether `text` is a number in its only form: no sign, no leading zero, at most 2^63 - 1.
[[nodiscard]] inline bool is_strict_decimal(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && at == end && text.front() != '-' &&
           (text.front() != '0' || text.size() == 1);
}

/// A signed text, and the signature that it comes with.
struct Signed {
    std::string_view text;
    std::string_view signature;

    [[nodiscard]] const unsigned char* bytes() const noexcept {
        return reinterpret_cast<const unsigned char*>(text.data());
    }
};

/// The secret of HS256. RFC 7518, section 3.2, requires at least the length of the hash.
class HmacKey {
public:
    static constexpr std::size_t least_bytes = 32;

    /// Returns what is wrong with a secret, and what to do; empty if nothing is.
    [[nodiscard]] static std::string why_not(std::string_view secret) {
        // The PEM text of another kind of key is not a secret.
        if (secret.find("-----BEGIN") != std::string_view::npos) {
            return "it is a PEM text and not a secret: choose jwt::Algorithm::rs256 for tokens "
                   "that are signed by RS256";
        }
        if (secret.size() >= least_bytes) return {};
        return "it has " + std::to_string(secret.size()) + " bytes, but HS256 needs at least " +
               std::to_string(least_bytes) +
               " bytes: generate a secret with 'openssl rand -base64 48', and use it here and "
               "where tokens are signed";
    }
    explicit HmacKey(std::string secret) : secret_{std::move(secret)} {}

    /// Errors: bad_signature, not_verified.
    [[nodiscard]] std::error_code verify(const Signed& what) const noexcept {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        const bool done = HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
                               what.bytes(), what.text.size(), mac, &size) != nullptr;
        if (!done) return ERR_clear_error(), jwt::Errc::not_verified;
        // Compares in constant time, so that the time does not reveal how much of it is right.
        const bool same =
            what.signature.size() == size && CRYPTO_memcmp(mac, what.signature.data(), size) == 0;
        return same ? std::error_code{} : jwt::Errc::bad_signature;
    }

private:
    std::string secret_;
};

/// The public key of RS256. RFC 7518, section 3.3, requires at least 2048 bits.
class RsaKey {
public:
    static constexpr int least_bits = 2048;
    static constexpr int most_bits = 16384;

    /// Reads `pem`, a public key that starts with "-----BEGIN PUBLIC KEY-----".
    /// Errors: an empty key, and `wrong` contains what is wrong and what to do.
    [[nodiscard]] static RsaKey read(const std::string& pem, std::string& wrong) {
        RsaKey out;
        const std::unique_ptr<BIO, int (*)(BIO*)> text{
            BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
        if (text) out.key_.reset(PEM_read_bio_PUBKEY(text.get(), nullptr, nullptr, nullptr));
        ERR_clear_error();  // TLS uses the error queue of the thread, too
        if (out.key_ && EVP_PKEY_base_id(out.key_.get()) != EVP_PKEY_RSA) out.key_.reset();
        if (!out.key_) {
            wrong =
                "it is not a public RSA key as PEM (-----BEGIN PUBLIC KEY-----): print one from a "
                "private key with 'openssl rsa -pubout'";
            return out;
        }
        const int bits = EVP_PKEY_bits(out.key_.get());
        if (bits >= least_bits && bits <= most_bits) return out;
        wrong = "it has " + std::to_string(bits) + " bits, but RS256 needs " +
                std::to_string(least_bits) + " to " + std::to_string(most_bits) +
                " bits: let the issuer sign with a new key, 'openssl genrsa 2048'";
        out.key_.reset();
        return out;
    }
    [[nodiscard]] explicit operator bool() const noexcept { return key_ != nullptr; }

    /// Errors: bad_signature, not_verified.
    [[nodiscard]] std::error_code verify(const Signed& what) const noexcept {
        const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(),
                                                                         &EVP_MD_CTX_free};
        if (!context ||
            EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1) {
            return ERR_clear_error(), jwt::Errc::not_verified;
        }
        const int right = EVP_DigestVerify(
            context.get(), reinterpret_cast<const unsigned char*>(what.signature.data()),
            what.signature.size(), what.bytes(), what.text.size());
        ERR_clear_error();
        return right == 1 ? std::error_code{} : jwt::Errc::bad_signature;
    }

private:
    struct Free {
        void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
    };
    std::unique_ptr<EVP_PKEY, Free> key_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// The algorithm with which tokens are signed.
///
/// A verifier accepts one of them; the token cannot choose.
enum class Algorithm : std::uint8_t {
    hs256,  ///< a secret that the issuer and the verifier share
    rs256   ///< the issuer's RSA key; the verifier has its public half
};

/// The form of a token's `sub`.
enum class Subject : std::uint8_t {
    text,    ///< a string, not empty
    decimal  ///< a number from 0 to 2^63 - 1, also as a string, without a sign or leading zeros
};

/// A key by which tokens are verified.
///
/// Thread safety: a plain value.
struct Key {
    /// For HS256 the secret, with at least 32 bytes. For RS256 the public key as PEM, with at least
    /// 2048 bits.
    std::string material{};
    /// The `kid` of tokens that are signed with this key. A single key may have no id; then it is
    /// used for all tokens.
    std::string id{};
};

/// The conditions that a token must meet.
///
/// Thread safety: a plain value.
struct Options {
    /// The only algorithm that is accepted.
    Algorithm algorithm = Algorithm::hs256;
    Subject subject = Subject::text;  ///< the form that `sub` must have
    /// The required `iss`; if empty, any `iss` is accepted.
    std::string issuer{};
    /// The audience that must be in `aud`; if empty, a token that has an `aud` is rejected.
    std::string audience{};
    /// How far the issuer's clock may be off, in both directions; 10 minutes at most.
    Duration leeway = std::chrono::seconds{30};
};

/// The claims of a valid token.
///
/// Thread safety: a plain value.
struct Claims {
    /// The user who owns the token.
    std::string subject{};
    /// When the token ends.
    WallTime expires{};
    /// All claims as a JSON object, as the token has it, for those that belay does not use.
    std::string json{};
};

/// Verifies JSON Web Tokens (RFC 7519), signed in the compact form (RFC 7515).
///
/// The algorithm is fixed. A token's `alg` is compared with it before a key is used, so `none` is
/// never accepted. The `kid` selects one of the given keys, and nothing else. A token must have
/// `exp` and `sub`. A token is rejected if it has `crit` or a name that appears twice, or if it is
/// longer than 4 KiB. So is one with padding, white space or another way to write the same token.
///
/// Thread safety: verify() from any thread; it changes nothing.
/// Source:        RFC 8725, "JSON Web Token Best Current Practices".
class Verifier {
public:
    /// Longer tokens are rejected unread.
    static constexpr std::size_t token_bytes_max = 4096;

    /// Makes a verifier of options and keys.
    ///
    /// Errors: bad_key, bad_options. Their message() states which key, what is wrong with it, and
    ///         what to do. It contains nothing secret.   Throws: std::bad_alloc.
    [[nodiscard]] static Result<Verifier, detail::JwtSetupError> make(Options options,
                                                                      std::vector<Key> keys) {
        if (options.leeway < Duration{} || options.leeway > std::chrono::minutes{10})
            return detail::JwtSetupError{Errc::bad_options, {}};
        if (keys.empty()) {
            return detail::JwtSetupError{
                Errc::bad_key,
                "there is no key: pass at least one jwt::Key to jwt::Verifier::make"};
        }
        Verifier out{std::move(options)};
        for (Key& key : keys) {
            std::string which = "key " + std::to_string(out.keys_.size() + 1) + " of " +
                                std::to_string(keys.size());
            if (!key.id.empty()) which += ", \"" + key.id + '"';
            const std::string wrong = out.add(std::move(key), keys.size() == 1);
            if (!wrong.empty()) return detail::JwtSetupError{Errc::bad_key, which + ": " + wrong};
        }
        return out;
    }

    /// Returns the claims of a token that is valid at this time.
    ///
    /// Errors: those of Errc.   Throws: std::bad_alloc.
    /// Complexity: O(size of the token), and one signature.
    [[nodiscard]] Result<Claims> verify(std::string_view token, WallTime now) const {
        if (token.empty()) return make_error_code(Errc::missing);
        const auto parts = detail::JwtParts::of(token);
        if (token.size() > token_bytes_max || !parts) return make_error_code(Errc::malformed);
        if (const auto error = check_signature(*parts)) return error;
        auto json = detail::from_base64url(parts->payload);
        const auto claims = json ? detail::JwtObject::parse(*json) : std::nullopt;
        if (!claims) return make_error_code(Errc::malformed);
        auto checked = check_claims(*claims, now);
        if (checked) checked->json = std::move(*json);
        return checked;
    }

    /// Returns how long a token that is valid now stays valid.
    [[nodiscard]] Duration valid_for(const Claims& claims, WallTime now) const noexcept {
        return claims.expires == WallTime::max() ? forever
                                                 : claims.expires - (now - options_.leeway);
    }

private:
    struct ParsedKey {
        std::string id;
        std::variant<detail::HmacKey, detail::RsaKey> material;
    };

    explicit Verifier(Options options) : options_{std::move(options)} {}

    /// Returns: what is wrong with the key, and what to do; empty if nothing is wrong.
    [[nodiscard]] std::string add(Key key, bool only) {
        if (key.id.empty() && !only)
            return "it has no id: if there are several keys, set jwt::Key::id to the 'kid' of the "
                   "tokens that it signs";
        if (find(key.id) != nullptr)
            return "another key has this id: give each key its own id, and sign with that id as "
                   "'kid'";
        std::string wrong;
        if (options_.algorithm == Algorithm::hs256) {
            wrong = detail::HmacKey::why_not(key.material);
            if (!wrong.empty()) return wrong;
            keys_.push_back({std::move(key.id), detail::HmacKey{std::move(key.material)}});
        } else {
            detail::RsaKey rsa = detail::RsaKey::read(key.material, wrong);
            if (!rsa) return wrong;
            keys_.push_back({std::move(key.id), std::move(rsa)});
        }
        return {};
    }
    [[nodiscard]] const ParsedKey* find(std::string_view id) const noexcept {
        for (const ParsedKey& key : keys_) {
            if (key.id == id) return &key;
        }
        return nullptr;
    }
    /// Returns the key that the header of a token names.
    [[nodiscard]] const ParsedKey* key_of(const detail::JwtObject& header) const {
        if (keys_.size() == 1 && keys_.front().id.empty()) return &keys_.front();
        const detail::JwtValue* const kid = header.find("kid");
        return kid != nullptr && kid->is_text() ? find(kid->text) : nullptr;
    }
    [[nodiscard]] std::error_code check_signature(const detail::JwtParts& parts) const {
        const auto text = detail::from_base64url(parts.header);
        const auto header = text ? detail::JwtObject::parse(*text) : std::nullopt;
        if (!header) return Errc::malformed;
        const detail::JwtValue* const algorithm = header->find("alg");
        const std::string_view wanted = options_.algorithm == Algorithm::hs256 ? "HS256" : "RS256";
        if (algorithm == nullptr || !algorithm->is_text() || algorithm->text != wanted)
            return Errc::wrong_algorithm;
        if (header->find("crit") != nullptr) return Errc::critical_extension;
        const ParsedKey* const key = key_of(*header);
        if (key == nullptr) return Errc::unknown_key;
        const auto signature = detail::from_base64url(parts.signature);
        if (!signature) return Errc::malformed;
        const detail::Signed what{parts.signed_part, *signature};
        return std::visit([&](const auto& one) { return one.verify(what); }, key->material);
    }

    // ---- what a signed token claims ------------------------------------------------------------

    [[nodiscard]] Result<Claims> check_claims(const detail::JwtObject& claims, WallTime now) const {
        const detail::JwtValue* const exp = claims.find("exp");
        const auto expires = exp == nullptr ? std::nullopt : detail::jwt_time(*exp);
        if (!expires || now - options_.leeway >= *expires) {
            return make_error_code(Errc::expired);
        }
        if (const detail::JwtValue* const nbf = claims.find("nbf")) {
            const auto begins = detail::jwt_time(*nbf);
            if (!begins || now + options_.leeway < *begins) {
                return make_error_code(Errc::not_yet_valid);
            }
        }
        if (!options_.issuer.empty() && !is_text(claims.find("iss"), options_.issuer)) {
            return make_error_code(Errc::wrong_issuer);
        }
        if (!is_for_us(claims.find("aud"))) return make_error_code(Errc::wrong_audience);
        auto subject = subject_of(claims.find("sub"));
        if (subject.empty()) return make_error_code(Errc::bad_subject);
        return Claims{std::move(subject), *expires, {}};
    }
    [[nodiscard]] static bool is_text(const detail::JwtValue* value, const std::string& wanted) {
        return value != nullptr && value->is_text() && value->text == wanted;
    }
    [[nodiscard]] bool is_for_us(const detail::JwtValue* audience) const {
        if (audience == nullptr) return options_.audience.empty();
        if (options_.audience.empty()) return false;
        if (audience->kind != detail::JwtValue::Kind::array)
            return is_text(audience, options_.audience);
        bool found = false;
        for (const detail::JwtValue& one : audience->items) {
            if (!one.is_text()) return false;
            found = found || one.text == options_.audience;
        }
        return found;
    }
    /// Returns the subject; empty if it is not valid.
    [[nodiscard]] std::string subject_of(const detail::JwtValue* subject) const {
        const bool decimal = options_.subject == Subject::decimal;
        const bool is_usable =
            subject != nullptr && (subject->is_text() || (decimal && subject->is_number()));
        if (!is_usable) return {};
        const std::string& text = subject->text;
        // A NUL would end the text for other programs, which would take it for another subject.
        const bool right =
            decimal ? detail::is_strict_decimal(text) : text.find('\0') == std::string::npos;
        return right ? text : std::string{};
    }

    Options options_;
    std::vector<ParsedKey> keys_;
};

}}}  // namespace belay::jwt
