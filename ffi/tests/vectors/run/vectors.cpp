/// Reads scenes on standard input, a line for each call, and prints the answers: the calls of
/// ffi/tests/vectors as tests/vectors/format.rs writes them down. What it must print is not known here.
#include <tollgate.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>

using namespace tollgate;
using std::chrono::nanoseconds;

namespace {

std::uint64_t ns(std::optional<nanoseconds> wait, std::uint64_t none) {
    return wait ? static_cast<std::uint64_t>(wait->count()) : none;
}

/// One limiter and its reservations.
class host {
  public:
    void begin(std::istream& line) {
        gate_.reset();
        reservations_.clear();
        builder_ = limiter::builder().clock(clock_);
        if (const auto keys = number(line)) builder_.max_keys(keys);
        if (const auto mode = overflow_of(line)) builder_.overflow(*mode);
    }

    void add_policy(std::istream& line) {
        const bool is_calendar = number(line) == 1;
        const auto name = text(line);
        const auto limit = number(line);
        const nanoseconds window(number(line));
        const auto period = static_cast<tollgate::period>(number(line));
        std::int64_t offset = 0;
        line >> offset;
        auto made = is_calendar ? policy::calendar(name, limit, period) : policy::sliding(name, limit, window);
        made.offset(std::chrono::seconds(offset));
        if (const auto most = number(line)) made.max_limit(most);
        if (const auto keys = number(line)) made.max_keys(keys);
        if (const auto buckets = number(line)) made.buckets(static_cast<std::uint32_t>(buckets));
        if (const auto mode = overflow_of(line)) made.overflow(*mode);
        builder_.policy(std::move(made));
    }

    void build() {
        auto built = builder_.try_build();
        if (!built) {
            std::cout << built.error().code().value() << ' ' << built.error().what() << '\n';
            return;
        }
        std::cout << "0\n";
        gate_.emplace(*std::move(built));
    }

    void call(std::istream& line) {
        const nanoseconds monotonic(number(line)), wall(number(line));
        const auto at = gate_->at({monotonic, wall});
        std::string verb;
        line >> verb;
        if (verb == "set_limit") {
            const auto policy = policy_of(line);
            const auto set = gate_->try_set_limit(policy, number(line));
            std::cout << (set ? 0 : set.error().code().value());
        } else if (verb == "refund") {
            const auto given = at.try_refund(charge_of(line));
            std::cout << (given ? 0 : given.error().code().value()) << ' ' << *given;
        } else if (verb == "reset_key") {
            const auto charge = charge_of(line);
            const auto reset = at.try_reset_key(policy_id::from_bits(charge.c().policy), *keys_.back());
            std::cout << (reset ? 0 : reset.error().code().value());
        } else if (verb == "reserve" || verb == "extend" || verb == "settle" || verb == "cancel") {
            change(verb, at, line);
        } else {
            request(verb, at, line);
        }
        std::cout << '\n';
    }

  private:
    void request(const std::string& verb, const instant& at, std::istream& line) {
        const auto charges = charges_of(line);
        std::vector<policy_status> layers(charges.size());
        if (verb == "check_many") {
            std::vector<decision> decisions(charges.size());
            std::cout << at.check_many(charges, decisions);
            for (const auto& decision : decisions) {
                std::cout << "; ";
                print(decision, {});
            }
        } else if (verb == "check") {
            print(at.check(charges), {});
        } else if (verb == "peek") {
            print(at.peek(charges), {});
        } else if (verb == "charge") {
            print(at.force_charge(charges), {});
        } else if (verb == "check_with_status") {
            print(at.check_with_status(charges, layers), layers);
        } else if (verb == "peek_with_status") {
            print(at.peek_with_status(charges, layers), layers);
        } else {
            std::exit(2);
        }
    }

    void change(const std::string& verb, const instant& at, std::istream& line) {
        auto& held = reservations_[number(line)];
        if (verb == "reserve") {
            const auto charges = charges_of(line);
            std::vector<policy_status> layers(charges.size());
            auto made = at.reserve_with_status(charges, layers);
            print(made ? made->decision() : made.error(), layers);
            if (made) held = *std::move(made);
        } else if (verb == "cancel") {
            print(at.cancel(held), {});
        } else {
            std::vector<std::uint64_t> amounts(number(line));
            for (auto& amount : amounts) amount = number(line);
            print(verb == "extend" ? at.extend(held, amounts) : at.settle(held, amounts), {});
        }
    }

    void print(const decision& told, const std::vector<policy_status>& layers) const {
        std::cout << told.code().value();
        if (told.verdict() == verdict::invalid) return;
        const auto flags = told.table_full() ? 1 : 0;
        std::cout << ' ' << place_of(told.policy()) << ' ' << told.limit() << ' ' << told.remaining() << ' '
                  << ns(told.retry_after(), told.is_allowed() ? 0 : TOLLGATE_NEVER) << ' '
                  << ns(told.reset_after(), 0) << ' ' << flags;
        for (const auto& layer : layers) {
            const auto marks = (layer.table_full() ? 1 : 0) | (layer.violated() ? 2 : 0);
            std::cout << "; " << place_of(layer.policy()) << ' ' << layer.limit() << ' ' << layer.remaining() << ' '
                      << ns(layer.retry_after(), layer.violated() ? TOLLGATE_NEVER : 0) << ' '
                      << ns(layer.reset_after(), 0) << ' ' << marks;
        }
    }

    std::vector<charge> charges_of(std::istream& line) {
        std::vector<charge> charges(number(line));
        for (auto& charge : charges) charge = charge_of(line);
        return charges;
    }

    charge charge_of(std::istream& line) {
        const auto policy = policy_of(line);
        std::string kind;
        line >> kind;
        // A charge borrows its key: a node of a map stays where it is.
        const auto& bytes = texts_.emplace(texts_.size(), text(line)).first->second;
        const auto value = number(line);
        keys_.push_back(std::make_unique<key>(key_of(kind, bytes, value)));
        const auto made = policy.charge(*keys_.back(), number(line));
        const auto limit = number(line);
        return limit == 0 ? made : made.limit(limit);
    }

    static key key_of(const std::string& kind, const std::string& bytes, std::uint64_t value) {
        if (kind == "text") return bytes;
        if (kind == "number") return value;
        if (kind == "ip") return key::ip(bytes, static_cast<unsigned>(value));
        return key::shared();
    }

    policy_id policy_of(std::istream& line) { return gate_->policy_at(number(line)).value_or(policy_id()); }

    int place_of(policy_id policy) const {
        for (int place = 0; gate_->policy_at(static_cast<std::size_t>(place)); ++place) {
            if (gate_->policy_at(static_cast<std::size_t>(place)) == policy) return place;
        }
        return -1;
    }

    static std::uint64_t number(std::istream& line) {
        std::uint64_t read = 0;
        if (!(line >> read)) std::exit(2);
        return read;
    }

    /// Bytes in hexadecimal digits after an x.
    static std::string text(std::istream& line) {
        std::string digits, bytes;
        line >> digits;
        for (std::size_t place = 1; place + 1 < digits.size(); place += 2) {
            bytes += static_cast<char>(std::strtoul(digits.substr(place, 2).c_str(), nullptr, 16));
        }
        return bytes;
    }

    static std::optional<overflow> overflow_of(std::istream& line) {
        const auto mode = number(line), allowance = number(line);
        switch (mode) {
            case 1: return overflow::deny();
            case 2: return overflow::allow();
            case 3: return overflow::evict_lightest(allowance);
            default: return {};
        }
    }

    manual_clock clock_ = *manual_clock::try_create();
    builder builder_;
    std::optional<limiter> gate_;
    std::map<std::uint64_t, reservation> reservations_;
    std::map<std::size_t, std::string> texts_;
    std::vector<std::unique_ptr<key>> keys_;
};

} // namespace

int main() {
    host host;
    for (std::string read; std::getline(std::cin, read);) {
        std::istringstream line(read);
        std::string first;
        line >> first;
        if (first == "limiter") host.begin(line);
        else if (first == "policy") host.add_policy(line);
        else if (first == "build") host.build();
        else if (first == "at") host.call(line);
        else return 2;
    }
}
