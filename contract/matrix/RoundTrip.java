import java.time.OffsetDateTime;
import java.util.List;
import java.util.Objects;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AccountApi;
import org.openapitools.client.api.DealsApi;
import org.openapitools.client.api.SchemaApi;
import org.openapitools.client.api.TicketsApi;
import org.openapitools.client.model.Credentials;
import org.openapitools.client.model.Deal;
import org.openapitools.client.model.DealCreate;
import org.openapitools.client.model.Pipelines;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.RecordSearch;
import org.openapitools.client.model.Registration;
import org.openapitools.client.model.SearchFilter;
import org.openapitools.client.model.Ticket;
import org.openapitools.client.model.TicketCreate;

/** Calls the running service through openapi-generator's Java client: java RoundTrip BASE. */
public final class RoundTrip {
  private static void assertEqual(Object value, Object expected) {
    if (!Objects.equals(value, expected)) {
      throw new AssertionError(value + " is not " + expected);
    }
  }

  public static void main(String[] arguments) throws Exception {
    String email = "java-" + System.currentTimeMillis() + "@example.com";
    String password = "a lighthouse in the fog";
    ApiClient client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    AccountApi account = new AccountApi(client);
    Registration registration =
        new Registration().email(email).firstname("José").lastname("Al-Farsi").password(password).phone("+44 20 7946 0018");
    assertEqual(account.register(registration, null).getData().getContact().getEmail(), email);
    String token = account.logIn(new Credentials().email(email).password(password)).getData().getAccessToken();
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
    DealsApi deals = new DealsApi(client);
    TicketsApi tickets = new TicketsApi(client);

    Pipelines pipelines = new SchemaApi(client).listPipelines().getData();
    OffsetDateTime closedate = OffsetDateTime.parse("2030-01-31T13:00:00+01:00");
    DealCreate dealCreate =
        new DealCreate()
            .dealname("Pilot project")
            .dealstage(pipelines.getDeals().get(0).getStages().get(0).getId())
            .amount("1500.5")
            .closedate(closedate);
    String key = "key-" + System.currentTimeMillis();
    Deal deal = deals.createDeal(dealCreate, key).getData();
    assertEqual(deal.getAmount(), "1500.5");
    assertEqual(deal.getClosedate().toInstant(), closedate.toInstant());
    assertEqual(deals.createDeal(dealCreate, key).getData().getId(), deal.getId());
    TicketCreate ticketCreate =
        new TicketCreate()
            .subject("Invoice")
            .description("Old address")
            .hsPipelineStage(pipelines.getTickets().get(0).getStages().get(0).getId())
            .category("billing");
    Ticket ticket = tickets.createTicket(deal.getId(), ticketCreate, null).getData();
    assertEqual(ticket.getCategory(), "billing");

    List<Deal> page = deals.listDeals(10, null, null, null, null, null).getData().getResults();
    assertEqual(page.stream().map(Deal::getId).toList(), List.of(deal.getId()));
    // The client sends `"values": []` with this filter.
    SearchFilter filter = new SearchFilter().property("subject").operator(SearchFilter.OperatorEnum.EQ).value("Invoice");
    RecordSearch search = new RecordSearch().query("address").addFiltersItem(filter);
    List<Ticket> matches = tickets.searchTickets(search).getData().getResults();
    assertEqual(matches.stream().map(Ticket::getId).toList(), List.of(ticket.getId()));

    try {
      deals.createDeal(dealCreate.dealstage("nowhere"), null);
      throw new AssertionError("an unknown stage was accepted");
    } catch (ApiException error) {
      assertEqual(error.getCode(), 400);
      Problem problem = client.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
      assertEqual(problem.getCode(), Problem.CodeEnum.VALIDATION_ERROR);
      assertEqual(problem.getDetails().get(0).getField(), "dealstage");
    }
    System.out.println("java: round trip done");
  }
}
